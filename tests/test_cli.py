"""The command line: quick help, thin calls, complaints of one line with exit code 2."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

import xrdct_sim
from xrdct_sim import cli
from xrdct_sim.config.layers import load_settings


@pytest.fixture
def calls(monkeypatch):
    """Replace the workflow; collect what it is asked to do."""
    made = []

    def step(name):
        return lambda *values, **named: made.append((name, values, named))

    names = ("run", "simulate", "recover", "score", "report")
    fake = SimpleNamespace(**{name: step(name) for name in names})
    monkeypatch.setattr(xrdct_sim, "workflow", fake, raising=False)
    monkeypatch.setitem(sys.modules, "xrdct_sim.workflow", fake)
    return made


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs the command line: exit code, output, complaint."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["xrdct-sim", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        output, complaint = capsys.readouterr()
        return exited.value.code or 0, output, complaint

    return call


def test_help_loads_no_heavy_library():
    code = (
        "import sys, xrdct_sim.cli; "
        "print(sorted({'jax', 'pyFAI', 'numpy', 'numba', 'h5py', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("step", ["run", "simulate"])
def test_a_phantoms_name_runs_its_quick_experiment(command, calls, tmp_path, step):
    code, _, _ = command(step, "coin_cell", "--set", "film.tilt_deg=1.2", "-o", tmp_path / "run")
    assert code == 0
    ((name, (settings, directory), named),) = calls
    assert name == step
    assert settings == load_settings("coin_cell", "quick", ["film.tilt_deg=1.2"])
    assert directory == tmp_path / "run"
    assert named["route"] == "frames"
    assert named["frames"] is False


def test_options_reach_the_workflow(command, calls, tmp_path):
    code, _, _ = command(
        *("run", "coin_cell", "--preset", "paper", "--route", "integrated", "-o", tmp_path),
        *("--set", "seed=5", "--set", "scan.exposure_s=2"),
    )
    assert code == 0
    ((_, (settings, _), named),) = calls
    assert settings == load_settings("coin_cell", "paper", ["seed=5", "scan.exposure_s=2"])
    assert named["route"] == "integrated"


def test_recover_reads_only_its_own_settings(command, calls, tmp_path):
    (tmp_path / "config.toml").write_text("[phantom]\nname = 'secret'\n[recover]\nn_q = 77\n")
    code, _, complaint = command("recover", tmp_path, "--set", "recover.n_azimuth=36")
    assert code == 0, complaint
    ((name, (source, directory, settings), named),) = calls
    assert (name, source, directory) == ("recover", tmp_path, tmp_path)
    assert (settings.n_q, settings.n_azimuth) == (77, 36)
    assert "secret" not in repr((settings, named))


@pytest.mark.parametrize("step", ["score", "report"])
def test_score_and_report_work_on_a_folder(command, calls, tmp_path, step):
    assert command(step, tmp_path)[0] == 0
    assert calls[0][:2] == (step, (tmp_path,))


def test_progress_becomes_bars_only_on_a_terminal(command, monkeypatch, tmp_path):
    def work(*_, progress, **__):
        for done in range(3):
            progress(done + 1, 3, "frames")
        progress(1, 1, "maps")

    fake = SimpleNamespace(run=work)
    monkeypatch.setattr(xrdct_sim, "workflow", fake, raising=False)
    assert command("run", "coin_cell", "-o", tmp_path)[2] == ""
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the stream for a terminal
    shown = command("run", "coin_cell", "-o", tmp_path)[2]
    assert "frames" in shown
    assert "3/3" in shown
    assert "maps" in shown


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "coin_sell", "-o", "x"], "phantom = 'coin_sell': no such phantom; did you mean"),
        (["run", "none.toml", "-o", "x"], "none.toml: no such file"),
        (["run", "coin_cell", "--preset", "quik", "-o", "x"], "did you mean 'quick'?"),
        (["run", "coin_cell", "-o", "x", "--set", "film.tilt_deg=9"], "number from 0 to 5 deg"),
        (["run", "coin_cell", "-o", "x", "--frames", "--route", "integrated"], "--frames: --route"),
        (["recover", "none.nxs"], "none.nxs: no such file or folder"),
        (["recover", ".", "--set", "beam.energy_keV=70"], "settings of recover.* only"),
        (["recover", ".", "--set", "recover.n_q=0"], "recover.n_q = 0: allowed is 10 to 20000"),
        (["recover", ".", "--poni", "none.poni"], "none.poni"),
        (["score", "none"], "none: no such folder"),
        (["report", "none"], "none: no such folder"),
        (["phantoms", "coin_sell"], "did you mean 'coin_cell'?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    command, calls, tmp_path, monkeypatch, arguments, complaint
):
    monkeypatch.chdir(tmp_path)
    code, output, shown = command(*arguments)
    assert code == 2
    assert output == ""
    assert complaint in shown
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    assert calls == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError("geometry.poni: Distance =\n -1"), OSError("full")])
def test_what_fails_below_is_one_line_too_unless_a_traceback_is_asked_for(
    command, monkeypatch, tmp_path, error
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(xrdct_sim, "workflow", SimpleNamespace(run=fail), raising=False)
    code, _, shown = command("run", "coin_cell", "-o", tmp_path)
    assert code == 2
    assert shown == f"error: {' '.join(str(error).split())}\n"
    monkeypatch.setenv(cli.TRACEBACK, "1")
    with pytest.raises(type(error)):
        command("run", "coin_cell", "-o", tmp_path)


def test_phantoms_lists_each_parameter_with_default_bounds_and_meaning(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "coin_cell" in command("phantoms")[1]
    code, output, _ = command("phantoms", "coin_cell")
    assert code == 0
    (line,) = [line for line in output.splitlines() if "film.tilt_deg" in line]
    assert "0.8 deg" in line
    assert "from 0 to 5 deg" in line
    assert "film's normal" in line


def test_the_version_is_the_packages(command):
    assert command("--version") == (0, f"xrdct-sim {xrdct_sim.__version__}\n", "")
