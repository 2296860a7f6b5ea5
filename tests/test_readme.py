"""Every command and every code block of the documentation, run as it is written.

Blocks run in the order of the pages, in one directory that is empty at first. A TOML block whose
first line is a comment with a name is the file of that name.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest

import xrdct_sim
from xrdct_sim import cli

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/usage.md", "docs/files.md")
SET_UP = "python3 -m venv "
LANGUAGES = {"bash", "python", "toml", "text"}


def blocks(page: str) -> list[tuple[str, str]]:
    """Fenced blocks of a page: language and text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def story() -> Iterator[tuple[str, str]]:
    """All blocks but the set-up, in order."""
    for page in PAGES:
        for language, text in blocks(page):
            if not text.startswith(SET_UP):
                yield language, text


def write_named(text: str, folder: Path) -> None:
    """Write a TOML block to the file that its first line names."""
    name = text.splitlines()[0].removeprefix("# ").strip()
    assert re.fullmatch(r"\w+\.toml", name)
    (folder / name).write_text(text, encoding="utf-8")


def set_up_commands() -> list[str]:
    return [text.strip() for _, text in blocks("README.md") if text.startswith(SET_UP)]


def test_two_commands_set_up_one_to_run_and_one_to_test() -> None:
    run, test = set_up_commands()
    assert run.startswith("python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/xrdct-sim")
    assert test.endswith("&& .venv/bin/pytest")
    # as .ci/run looks for it
    assert re.fullmatch(r"python3 -m venv .* && \.venv/bin/pytest", test)


def test_every_block_is_of_a_language_that_is_run_or_shown() -> None:
    pages = [*PAGES, "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
    assert {language for page in pages for language, _ in blocks(page)} <= LANGUAGES
    elsewhere = {lang for page in set(pages) - set(PAGES) for lang, _ in blocks(page)}
    assert elsewhere <= {"text"}  # what runs stands on a page whose blocks are run


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Replace the workflow by one that only leaves empty files where results would be."""
    done: list[str] = []

    def step(name: str):
        def call(*values, **_) -> None:
            done.append(name)
            if name in ("run", "simulate"):
                settings, folder = values
                folder.mkdir(exist_ok=True)
                for file in ("scan.nxs", "geometry.poni"):
                    (folder / file).touch()
                text = f'[phantom]\nname = "{settings.phantom.name}"\n'
                (folder / "config.toml").write_text(text, encoding="utf-8")

        return call

    names = ("run", "simulate", "recover", "score", "report")
    fake = SimpleNamespace(**{name: step(name) for name in names})
    monkeypatch.setattr(xrdct_sim, "workflow", fake, raising=False)
    monkeypatch.setitem(sys.modules, "xrdct_sim.workflow", fake)
    monkeypatch.chdir(tmp_path)
    return done


def test_every_command_is_understood(
    made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Options, keys, values and file names are checked as in earnest; nothing is computed."""
    called = 0
    for language, text in story():
        if language == "toml":
            write_named(text, tmp_path)
        if language == "python":
            compile(text, "block", "exec")
        for line in text.splitlines() if language == "bash" else ():
            words = shlex.split(line)
            if words[0] != "xrdct-sim":
                continue
            monkeypatch.setattr(sys, "argv", words)
            with pytest.raises(SystemExit) as exited:
                cli.main()
            assert exited.value.code in (0, None), line
            called += 1
    assert called >= 12
    assert {"run", "simulate", "recover", "score", "report"} == set(made)


def path_of_this_python() -> dict[str, str]:
    """Environment in which `xrdct-sim` is the one beside this interpreter."""
    beside = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"}


def run(arguments: list[str], folder: Path) -> None:
    done = subprocess.run(
        arguments, cwd=folder, env=path_of_this_python(), capture_output=True, text=True
    )
    assert done.returncode == 0, f"{arguments[-1]}\n{done.stdout}{done.stderr}"


def run_line(line: str, folder: Path) -> None:
    """Run one line: our own command in this process, which saves imports and compilations."""
    words = shlex.split(line)
    if words[0] != "xrdct-sim":
        run(words, folder)
        return
    sys.argv = words
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert exited.value.code in (0, None), line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in which all blocks of all pages have been run."""
    directory = tmp_path_factory.mktemp("pages")
    here, arguments = Path.cwd(), sys.argv
    os.chdir(directory)
    try:
        for language, text in story():
            if language == "toml":
                write_named(text, directory)
            elif language == "bash":
                for line in text.splitlines():
                    run_line(line, directory)
            elif language == "python":
                exec(compile(text, "block", "exec"), {"__name__": "block"})
        yield directory
    finally:
        os.chdir(here)
        sys.argv = arguments


@pytest.mark.slow
def test_every_block_runs_as_written(folder: Path) -> None:
    for name in ("whole", "steps", "no_parallax", "far"):
        assert (folder / name / "score.json").is_file()
    assert (folder / "mine" / "recon.nxs").is_file()
    assert not (folder / "far" / "scan.nxs").exists()


@pytest.mark.slow
def test_run_and_the_four_steps_give_the_same_numbers(folder: Path) -> None:
    """`steps` was recovered again with another filter: its counts are still those of `whole`."""
    counts = []
    for name in ("whole", "steps"):
        with h5py.File(folder / name / "integrated.nxs") as file:
            counts.append(file["counts/counts"][()])
    assert (counts[0] == counts[1]).all()


def documented_places(file: str) -> list[str]:
    """Places in a file that docs/files.md lists, as patterns."""
    text = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    section = re.search(rf"^## `{file}`.*?(?=^## )", text, flags=re.MULTILINE | re.DOTALL)
    assert section is not None
    places = []
    for line in section.group().splitlines():
        if not line.startswith("| `"):
            continue
        first, *others = re.findall(r"`([^`]+)`", line.split("|")[1])
        parent = first.rpartition("/")[0]
        for name in (first, *(f"{parent}/{other}" for other in others)):
            pattern = name.rstrip("/*").replace("slice_K", "slice_1")
            places.append(re.sub(r"[A-Z]{4,}", "[^/]+", pattern))
    return places


@pytest.mark.slow
@pytest.mark.parametrize("file", ["scan.nxs", "integrated.nxs", "recon.nxs"])
def test_files_hold_what_their_page_says(folder: Path, file: str) -> None:
    held: list[str] = []
    with h5py.File(folder / ("kept" if file == "scan.nxs" else "steps") / file) as tree:
        tree.visit(held.append)
    wanted = documented_places(file)
    assert len(wanted) > 5
    assert [p for p in wanted if not any(re.fullmatch(p, name) for name in held)] == []


@pytest.mark.slow
def test_the_command_that_sets_up_and_runs_makes_a_report(tmp_path: Path) -> None:
    """Its last part; installation is what the other tests stand on."""
    command = set_up_commands()[0].rpartition("&& ")[2].removeprefix(".venv/bin/")
    run(["bash", "-e", "-c", command], tmp_path)
    assert (tmp_path / "coin_cell" / "report.html").stat().st_size > 100_000
