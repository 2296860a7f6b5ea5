"""Files that are damaged, of another kind or missing: named in one line, all else left alone."""

import shutil

import h5py
import pytest
from tiny_run import names, refused

from xrdct_sim.instrument.geometry import write_poni


def test_a_poni_of_another_shape_is_refused_by_a_recovery(tmp_path, framed, whole):
    given = tmp_path / "given"
    given.write_text(write_poni(detector="Perkin", distance_mm=200.0, energy_keV=69.95))
    for folder in (framed, whole):
        said = refused("recover", folder, "-o", tmp_path / "run", "--poni", given)
        assert "detector mismatch with the PONI" in said
        assert "given" in said
    assert names(tmp_path) == {"given"}


def halved(path):
    """Cut a file in half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("damage", ["half", "empty", "text"])
@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("scan.nxs", "recover"),
        ("integrated.nxs", "recover"),
        ("recon.nxs", "score"),
        ("truth.nxs", "score"),
        ("integrated.nxs", "score"),
        ("recon.nxs", "report"),
        ("truth.nxs", "report"),
        ("score.json", "report"),
    ],
)
def test_a_damaged_file_is_named_and_all_else_left_alone(
    whole, framed, tmp_path, name, step, damage
):
    folder = tmp_path / "run"
    shutil.copytree(framed if name == "scan.nxs" else whole, folder)
    path = folder / name
    if damage == "half":
        halved(path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"not HDF5 " * 500)
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    assert str(path) in refused(step, folder)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_scan_cut_anywhere_is_refused(framed, tmp_path, share):
    content = (framed / "scan.nxs").read_bytes()
    (tmp_path / "scan.nxs").write_bytes(content[: int(share * len(content))])
    assert str(tmp_path / "scan.nxs") in refused("recover", tmp_path / "scan.nxs")
    assert names(tmp_path) == {"scan.nxs"}


def test_damaged_frames_inside_a_whole_file_are_named(framed, tmp_path):
    """The directory is intact, the pixels are not: found when they are read."""
    path = tmp_path / "scan.nxs"
    shutil.copy(framed / "scan.nxs", path)
    with h5py.File(path) as file:
        found = file["entry/instrument/detector/data"].id.get_chunk_info(7)
    with path.open("rb+") as raw:
        raw.seek(found.byte_offset)
        raw.write(b"\xff" * found.size)
    said = refused("recover", path)
    assert said.startswith(f"{path}: frame 7 cannot be read")
    assert names(tmp_path) == {"scan.nxs"}


@pytest.mark.parametrize(
    ("name", "other", "step"),
    [
        ("recon.nxs", "truth.nxs", "score"),
        ("truth.nxs", "recon.nxs", "score"),
        ("integrated.nxs", "recon.nxs", "recover"),
        ("scan.nxs", "recon.nxs", "recover"),
    ],
)
def test_a_file_of_another_kind_is_named(whole, tmp_path, name, other, step):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    shutil.copy(whole / other, folder / name)
    assert str(folder / name) in refused(step, folder)


def break_monotonic(file):
    points = file["entry/scan/translations"][()]
    points[3] = points[5]
    file["entry/scan/translations"][...] = points


def break_places(file):
    file["entry/scan/place"][1] = file["entry/scan/place"][0]


def break_shape(file):
    frames = file["entry/instrument/detector/data"]
    old = frames[:, :-1]
    del file["entry/instrument/detector/data"]
    file["entry/instrument/detector/data"] = old


def break_count(file):
    frames = file["entry/instrument/detector/data"]
    old = frames[:0]
    del file["entry/instrument/detector/data"]
    file["entry/instrument/detector/data"] = old


def break_monitor(file):
    file["entry/control/data"][4] = 0.0


def drop_frames(file):
    del file["entry/instrument/detector/data"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (break_monotonic, "translations: not monotonic"),
        (break_places, "two frames at one place"),
        (break_shape, "shape"),
        (break_count, "allowed (frames >= 1, rows, columns)"),
        (break_monitor, "entry/control/data: 1 frames have no photons; allowed > 0"),
        (drop_frames, "entry/instrument/detector/data is missing"),
    ],
)
def test_a_scan_that_makes_no_sense_is_refused(framed, tmp_path, change, complaint):
    path = tmp_path / "scan.nxs"
    shutil.copy(framed / "scan.nxs", path)
    with h5py.File(path, "r+") as file:
        change(file)
    said = refused("recover", path)
    assert said.startswith(f"{path}: ")
    assert complaint in said
    assert names(tmp_path) == {"scan.nxs"}


def test_missing_results_name_the_step_that_makes_them(whole, tmp_path):
    for step in ("recover", "score", "report"):
        assert str(tmp_path) in refused(step, tmp_path)
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "score.json").unlink()
    assert refused("report", folder).endswith("score.json: no such file; run xrdct-sim score first")
    (folder / "recon.nxs").unlink()
    for step in ("score", "report"):
        assert "no such file; run xrdct-sim" in refused(step, folder)
    (folder / "truth.nxs").unlink()
    shutil.copy(whole / "recon.nxs", folder)
    assert refused("score", folder).endswith(
        "truth.nxs: no such file; run xrdct-sim simulate first"
    )
    (folder / "config.toml").unlink()
    shutil.copy(whole / "truth.nxs", folder)
    assert refused("score", folder).endswith("config.toml: no such file")


def test_a_score_that_is_no_score_is_named(whole, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "score.json").write_text('{"schema": 99}')
    assert refused("report", folder) == (
        f"{folder / 'score.json'}: schema = 99, but only 1 can be read"
    )
