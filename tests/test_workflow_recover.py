"""Recoveries from what a run left: other fits, other bins, other engines, no truth needed."""

import shutil

import numpy as np
import pytest
from tiny_run import RESULTS, arrays, call, differing, done, metrics, names, settings, with_sets

from xrdct_sim import workflow


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
    old, new = (arrays(f / "integrated.nxs")["slice_1/data/intensity"] for f in (framed, folder))
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
