"""The whole path from files to files: chains, routes, orders, seeds, and what viewers open."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest
from tiny_run import TINY, arrays, call, differing, done, names, settings, with_sets

from xrdct_sim import workflow
from xrdct_sim.scanfile.nxtomo import read_scan
from xrdct_sim.simulate.run import ORDERS, SimulatedScan
from xrdct_sim.workflow.build import build_experiment

RESULTS = {
    "config.toml",
    "geometry.poni",
    "mask.npy",
    "integrated.nxs",
    "recon.nxs",
    "truth.nxs",
    "score.json",
    "report.html",
}


def metrics(folder):
    """Return all numbers of a score."""
    return json.loads((folder / "score.json").read_text(encoding="utf-8"))["metrics"]


def test_a_run_makes_exactly_its_results(whole, framed):
    assert names(whole) == RESULTS
    assert names(framed) == RESULTS - {"report.html"} | {"scan.nxs"}


def test_a_run_finds_what_is_in_the_cell(whole):
    """Not only files: the cell's steel stands around its film, on the absolute scale."""
    recon, truth = arrays(whole / "recon.nxs"), arrays(whole / "truth.nxs")
    steel = recon["slice_1/maps/steel"]
    iron = truth["slice_1/maps/Fe"]
    inside, outside = np.isfinite(steel) & (iron > 0.2), np.isfinite(steel) & (iron == 0)
    # 8 rotations of 0.8 mm voxels: streaks, but the can stands out
    assert np.median(steel[inside]) > 3 * np.median(np.abs(steel[outside]))
    film = recon["slice_1/maps/LiCoO2_003_area"]
    oxide = truth["slice_1/maps/LiCoO2"]
    inside = np.isfinite(film) & (oxide > 0.05)
    assert inside.sum() > 5
    assert np.all(film[inside] > 0)


def test_the_resolved_settings_run_again_to_the_same_numbers(whole, tmp_path):
    done("simulate", whole / "config.toml", "-o", tmp_path)
    done("recover", tmp_path)
    done("score", tmp_path)
    assert (tmp_path / "config.toml").read_bytes() == (whole / "config.toml").read_bytes()
    for name in ("integrated.nxs", "recon.nxs", "truth.nxs"):
        assert differing(whole / name, tmp_path / name) == []
    assert metrics(tmp_path) == metrics(whole)


def test_steps_one_by_one_give_the_numbers_of_a_run(whole, tmp_path):
    folder = tmp_path / "steps"
    done("simulate", "coin_cell", *with_sets(), "-o", folder)
    assert names(folder) == RESULTS - {"recon.nxs", "score.json", "report.html"}
    for step in ("recover", "score", "report"):
        done(step, folder)
    assert names(folder) == RESULTS
    for name in ("integrated.nxs", "recon.nxs", "truth.nxs"):
        assert differing(whole / name, folder / name) == []
    assert metrics(folder) == metrics(whole)


def test_a_run_that_keeps_its_frames_gives_the_same_numbers(whole, framed):
    for name in ("integrated.nxs", "recon.nxs", "truth.nxs"):
        assert differing(whole / name, framed / name) == []
    assert metrics(framed) == metrics(whole)


@pytest.mark.parametrize("order", ORDERS)
def test_frames_on_disk_give_the_bits_of_streamed_frames(tmp_path, order):
    asked = settings(f"scan.order={order}", "scan.slice_heights_um=[-10.0]")
    workflow.simulate(asked, tmp_path / "streamed")
    workflow.simulate(asked, tmp_path / "kept", frames=True)
    (tmp_path / "kept" / "integrated.nxs").unlink()  # the frames alone
    for name in ("streamed", "kept"):
        workflow.recover(tmp_path / name, tmp_path / name, asked.recover)
    for name in ("integrated.nxs", "recon.nxs"):
        assert differing(tmp_path / "streamed" / name, tmp_path / "kept" / name) == []


def test_the_order_of_acquisition_leaves_the_expected_scan_alone(tmp_path):
    """Noise belongs to a frame's number; without it all orders integrate to the same sinogram."""
    found = []
    for order in ORDERS:
        asked = settings(
            f"scan.order={order}", "effects.noise=false", "scan.slice_heights_um=[-10.0]"
        )
        folder = tmp_path / order
        workflow.simulate(asked, folder, route="integrated")
        workflow.recover(folder, folder, asked.recover)
        found.append(arrays(folder / "integrated.nxs")["slice_1/data/intensity"])
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_integrated_route_runs_and_tells_the_same_story(whole, tmp_path):
    done("run", "coin_cell", *with_sets(), "--route", "integrated", "-o", tmp_path)
    assert names(tmp_path) == RESULTS
    assert differing(whole / "truth.nxs", tmp_path / "truth.nxs") == []
    one, two = (arrays(f / "integrated.nxs") for f in (whole, tmp_path))
    for key in ("slice_1/data/intensity", "slice_2/data/intensity"):
        difference = one[key] - two[key]
        sigma = np.hypot(one[f"{key}_errors"], two[f"{key}_errors"])
        known = sigma > 0
        pull = difference[known] / sigma[known]
        # independent draws of the same means: variance 1, to 5 sigma of a chi-square
        assert np.mean(pull**2) == pytest.approx(1, abs=5 * np.sqrt(2 / pull.size) + 0.01)
        assert pull.mean() == pytest.approx(0, abs=5 / np.sqrt(pull.size))


def test_the_integrated_route_makes_no_frames(tmp_path):
    code, _, complaint = call(
        *("run", "coin_cell", *with_sets(), "-o", tmp_path / "run"),
        *("--route", "integrated", "--frames"),
    )
    assert code == 2
    assert "--frames" in complaint
    assert names(tmp_path) == set()
    with pytest.raises(ValueError, match="--frames"):
        workflow.simulate(settings(), tmp_path / "run", route="integrated", frames=True)


def test_without_noise_frames_are_expected_counts(tmp_path):
    asked = settings("effects.noise=false", "scan.slice_heights_um=[-10.0]")
    workflow.simulate(asked, tmp_path / "streamed")
    workflow.simulate(asked, tmp_path / "kept", frames=True)
    scan = read_scan(tmp_path / "kept" / "scan.nxs")
    expected = SimulatedScan(build_experiment(asked, {})).expected(5)
    assert scan.frame(5).dtype.kind == "f"
    np.testing.assert_array_equal(scan.frame(5), expected)
    assert np.any(expected % 1 > 0)
    (tmp_path / "kept" / "integrated.nxs").unlink()
    for name in ("streamed", "kept"):
        workflow.recover(tmp_path / name, tmp_path / name, asked.recover)
    for name in ("integrated.nxs", "recon.nxs"):
        assert differing(tmp_path / "streamed" / name, tmp_path / "kept" / name) == []


def test_another_seed_is_other_noise_on_the_same_truth(whole, tmp_path):
    asked = settings("seed=2")
    workflow.simulate(asked, tmp_path)
    assert differing(whole / "truth.nxs", tmp_path / "truth.nxs") == []
    one, two = (arrays(f / "integrated.nxs")["counts/counts"] for f in (whole, tmp_path))
    assert one.shape == two.shape
    large = (one > 100) & (two > 100)
    pull = (one[large] - two[large].astype(float)) / np.sqrt(one[large] + two[large].astype(float))
    # sqrt(n) pulls of two Poisson draws: standard normal, 5 sigma of its variance
    assert pull.var() == pytest.approx(1, abs=5 * np.sqrt(2 / pull.size))


def default_data(file):
    """Follow @default to the data that a viewer opens, and return it with its attributes."""
    node = file
    while "default" in node.attrs:
        node = node[node.attrs["default"]]
    assert node.attrs["NX_class"] == "NXdata"
    return node


@pytest.mark.parametrize("name", ["integrated.nxs", "recon.nxs", "truth.nxs"])
def test_a_results_file_opens_on_a_map(whole, name):
    with h5py.File(whole / name) as file:
        shown = default_data(file)
        signal = shown[shown.attrs["signal"]]
        axes = [shown[axis] for axis in shown.attrs["axes"]]
        assert signal.ndim == 2
        assert min(signal.shape) > 1
        assert signal.attrs["interpretation"] == "image"
        assert [len(axis) for axis in axes] == list(signal.shape)
        assert all(axis.attrs["units"] for axis in axes)
        assert signal.attrs["units"]
        assert np.nanstd(signal) > 0


READ_ALL = """
import sys
sys.modules["hdf5plugin"] = None  # importing it is an error
import h5py
for path in sys.argv[1:]:
    with h5py.File(path) as file:
        names = []
        file.visit(names.append)
        sets = [file[name] for name in names if isinstance(file[name], h5py.Dataset)]
        print(sum(node[()] is not None for node in sets))
"""


def test_results_are_readable_without_compression_plugins(whole):
    files = [str(whole / name) for name in ("integrated.nxs", "recon.nxs", "truth.nxs")]
    command = [sys.executable, "-c", READ_ALL, *files]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert [int(count) > 30 for count in read] == [True] * 3


@pytest.mark.peers
@pytest.mark.parametrize("name", ["integrated.nxs", "recon.nxs", "truth.nxs", "scan.nxs"])
def test_silx_shows_a_valid_image_first(framed, name):
    silx = pytest.importorskip("silx.io.nxdata", reason="extra peers")
    with h5py.File(framed / name) as file:
        shown = silx.get_default(file)
        assert shown is not None
        assert shown.is_valid, shown.issues
        assert shown.interpretation == "image"
        assert shown.signal.ndim == (3 if name == "scan.nxs" else 2)


NXVALIDATE = "import sys; from nexusformat.scripts.nxvalidate import main; sys.exit(main())"


@pytest.mark.peers
@pytest.mark.parametrize(("name", "entry"), [("scan.nxs", "entry"), ("recon.nxs", "slice_1")])
def test_nxvalidate_finds_no_error(framed, name, entry):
    """Its exit code is always 0: the text counts."""
    pytest.importorskip("nexusformat", reason="extra peers")
    command = [sys.executable, "-c", NXVALIDATE, "-p", entry, str(framed / name)]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    text = made.stdout + made.stderr
    assert "Total number of errors: 0" in text, text


@pytest.mark.peers
def test_nxxrdct_finds_the_integrated_entries(framed):
    nxxrdct = pytest.importorskip("nxxrdct", reason="extra peers")
    with h5py.File(framed / "integrated.nxs") as file:
        found = [name for name in file if file[name].attrs.get("definition") == "NXxrdct"]
    assert found == ["slice_1", "slice_2"]
    assert nxxrdct is not None


def test_a_recovery_needs_neither_truth_nor_phantom(framed, tmp_path):
    shutil.copy(framed / "scan.nxs", tmp_path)
    text = (framed / "config.toml").read_text(encoding="utf-8")
    own = text[text.index("[recover]") :]
    assert "phantom" not in own
    (tmp_path / "config.toml").write_text(own, encoding="utf-8")
    done("recover", tmp_path / "scan.nxs")
    assert names(tmp_path) == {
        *("scan.nxs", "config.toml", "integrated.nxs", "recon.nxs", "geometry.poni", "mask.npy")
    }
    for name in ("integrated.nxs", "recon.nxs"):
        assert differing(framed / name, tmp_path / name) == []


def test_other_fits_start_from_the_sums(whole, tmp_path):
    """Another channel from a folder without frames; the score follows the recovery's windows."""
    folder = tmp_path / "again"
    shutil.copytree(whole, folder)
    window = "recover.channels.wide.q_per_A=[2.0, 4.0]"
    done("recover", folder, "--set", window)
    assert names(folder) == RESULTS - {"score.json", "report.html"}  # those were of the old one
    done("score", folder)
    old, new = arrays(whole / "recon.nxs"), arrays(folder / "recon.nxs")
    assert set(new) - set(old) == {
        f"slice_{k}/maps/wide{part}" for k in (1, 2) for part in ("", "_errors")
    }
    for name in old:
        np.testing.assert_array_equal(old[name], new[name])
    added = [one for one in metrics(folder) if one["name"] == "wide"]
    assert {one["slice"] for one in added} == {"slice 1", "slice 2"}
    assert [one for one in metrics(folder) if one["name"] != "wide"] == metrics(whole)


def test_a_moved_window_moves_its_truth_too(whole, tmp_path):
    """Truth is put through the windows that the recovery used, not those of config.toml."""
    folder = tmp_path / "moved"
    shutil.copytree(whole, folder)
    done("recover", folder, "--set", "recover.channels.steel.q_per_A=[4.0, 6.0]")
    done("score", folder)
    (bias,) = [
        one["value"]
        for one in metrics(folder)
        if (one["name"], one["slice"], one["metric"]) == ("steel", "slice 1", "nrmse")
    ]
    (old,) = [
        one["value"]
        for one in metrics(whole)
        if (one["name"], one["slice"], one["metric"]) == ("steel", "slice 1", "nrmse")
    ]
    # measured against the truth of the old window it would be off by the peak's height
    assert bias < 2 * old


@pytest.mark.parametrize(
    "key", ["recover.n_q=100", "recover.n_azimuth=10", "recover.q_max_per_A=8"]
)
def test_other_bins_need_frames(whole, tmp_path, key):
    folder = tmp_path / "again"
    shutil.copytree(whole, folder)
    code, _, complaint = call("recover", folder, "--set", key)
    assert code == 2
    assert complaint.startswith(f"error: {folder / 'integrated.nxs'}: ")
    assert "other bins" in complaint
    for name in RESULTS:
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_frames_can_be_recovered_in_other_bins_which_this_truth_does_not_know(framed, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(framed, folder)
    wider = ("recover.q_max_per_A=8.0", "recover.n_q=142")
    done("recover", folder, *(word for one in wider for word in ("--set", one)))
    old, new = (arrays(f / "recon.nxs")["slice_1/data/data"] for f in (framed, folder))
    assert (old.shape[-1], new.shape[-1]) == (122, 142)
    np.testing.assert_array_equal(new[..., :121], old[..., :121])  # the last bin's end moves
    code, _, complaint = call("score", folder)
    assert code == 2
    assert "142 and 122 radial bins" in complaint


def test_transmission_of_the_diode_divides_absorption_out(framed, tmp_path):
    done("recover", framed, "-o", tmp_path, "--set", "recover.normalisation=i0")
    divided, plain = (arrays(f / "integrated.nxs") for f in (framed, tmp_path))
    key = "slice_1/data/intensity"
    diode = divided["scan/scan/diode"] / divided["scan/control/data"]
    place = divided["scan/scan/place"]
    through = np.full(plain[key].shape[:2], np.nan)
    first = place[:, 0] == 0
    through[place[first, 1], place[first, 2]] = diode[first]
    assert through.min() < 0.95
    # single precision of the stored intensities
    np.testing.assert_allclose(divided[key] * through[..., None], plain[key], rtol=1e-6)


def test_pyfai_itself_integrates_the_same_scan(framed, tmp_path):
    """Without pixel splitting its histogram is ours; rings' variances are its own too."""
    asked = settings("recover.engine=no,histogram,cython").recover
    workflow.recover(framed / "scan.nxs", tmp_path, asked)
    own, theirs = (arrays(f / "integrated.nxs") for f in (framed, tmp_path))
    for key in ("slice_1/data/intensity", "slice_2/ring_LiCoO2_003/intensity"):
        known = np.isfinite(own[key])
        assert known.mean() > 0.9
        np.testing.assert_array_equal(known, np.isfinite(theirs[key]))
        scale = np.nanmax(np.abs(own[key]))
        # both stored in single precision; pyFAI keeps corrections in single precision
        np.testing.assert_allclose(
            theirs[key][known], own[key][known], rtol=2e-6, atol=1e-6 * scale
        )
        errors = f"{key}_errors"
        np.testing.assert_allclose(theirs[errors][known], own[errors][known], rtol=1e-5)


def test_pyfais_engine_is_refused_without_frames(whole, tmp_path):
    engine = "recover.engine=bbox,csr,cython"
    code, _, complaint = call("run", "coin_cell", *with_sets(engine), "-o", tmp_path / "run")
    assert code == 2
    assert "recover.engine = 'bbox,csr,cython'" in complaint
    assert names(tmp_path) == set()
    code, _, complaint = call("recover", whole, "-o", tmp_path / "run", "--set", engine)
    assert code == 2
    assert "integrated.nxs: holds sums without frames" in complaint
    assert names(tmp_path) == set()


def test_an_interrupted_simulation_leaves_nothing_to_take_for_a_result(tmp_path):
    asked = settings("scan.slice_heights_um=[-10.0]")
    workflow.simulate(asked, tmp_path)
    frames = []

    def interrupt(done_frames, _, __):
        frames.append(done_frames)
        if done_frames > 5:
            raise KeyboardInterrupt

    for keep in (False, True):
        with pytest.raises(KeyboardInterrupt):
            workflow.simulate(asked, tmp_path, frames=keep, progress=interrupt)
        assert names(tmp_path) == {"config.toml", "geometry.poni", "mask.npy"}
        code, _, complaint = call("recover", tmp_path)
        assert code == 2
        assert "integrated.nxs" in complaint
        code, _, complaint = call("score", tmp_path)
        assert code == 2
        assert "recon.nxs: no such file" in complaint
    assert max(frames) == 6


def test_a_new_simulation_takes_the_place_of_all_older_results(whole, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(whole, folder)
    workflow.simulate(settings("film.tilt_deg=0.5"), folder, route="integrated")
    assert names(folder) == RESULTS - {"recon.nxs", "score.json", "report.html"}
    assert differing(whole / "truth.nxs", folder / "truth.nxs") != []


def test_progress_counts_every_step_to_its_end(tmp_path):
    asked = settings("scan.slice_heights_um=[-10.0]")
    seen = {}
    workflow.simulate(
        asked,
        tmp_path,
        route="integrated",
        progress=lambda made, total, what: seen.update({what: (made, total)}),
    )
    assert seen == {"integrated counts": (88, 88)}


def test_settings_of_the_tiny_run_are_what_its_overrides_say():
    """The overrides reach the settings, so that the tests above test what they mean to."""
    asked = settings()
    assert (asked.scan.n_translations, asked.scan.n_rotations) == (11, 8)
    assert asked.detector.name == "Pilatus100k"
    assert len(TINY) == len(set(TINY))
    assert replace(asked.effects) == asked.effects
