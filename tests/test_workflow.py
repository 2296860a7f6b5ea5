"""The whole path from files to files: chains, routes, orders, seeds, and what viewers open."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from tiny_run import (
    RESULTS,
    TINY,
    arrays,
    call,
    differing,
    done,
    metrics,
    names,
    settings,
    with_sets,
)

from xrdct_sim import workflow
from xrdct_sim.scanfile.nxtomo import read_scan
from xrdct_sim.simulate.run import ORDERS, SimulatedScan
from xrdct_sim.workflow.build import build_experiment


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
