"""What viewers and other programs open of a run's files."""

import subprocess
import sys

import h5py
import numpy as np
import pytest


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
