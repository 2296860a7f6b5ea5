"""Result files: what is written comes back, and viewers open the right thing."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from xrdct_sim.scanfile import nexus


def result_tree() -> nexus.Group:
    """Return a result with a map, a cube, a text and its provenance."""
    cube = np.arange(6 * 5 * 200, dtype=np.float32).reshape(6, 5, 200)
    axes = {"y": nexus.dataset(np.arange(6) * 0.05, "mm", "y (mm)")}
    axes["x"] = nexus.dataset(np.arange(5) * 0.05, "mm", "x (mm)")
    film = nexus.dataset(cube[..., 0], "1/mm/sr", "film (1/mm/sr)", "image")
    maps = nexus.data_group(
        {"film": film, "can": film, **axes},
        signal="film",
        axes=("y", "x"),
        errors={"film": np.ones((6, 5), np.float32)},
        auxiliary=("can",),
    )
    spectra = nexus.data_group(
        {
            "cube": nexus.dataset(cube, "1/mm/sr", interpretation="spectrum"),
            "q": nexus.dataset(np.linspace(1, 2, 200), "1/angstrom", "q (1/angstrom)"),
            **{name: nexus.Link(target=f"/entry/maps/{name}") for name in axes},
        },
        signal="cube",
        axes=("y", "x", "q"),
    )
    process = nexus.process_group(
        version="0.1", date="2026-01-01T00:00:00+00:00", parameters={"config": "µ = 1\n", "seed": 7}
    )
    return nexus.root_group(
        {
            "entry": nexus.entry_group(
                {"maps": maps, "data": spectra, "reconstruction": process},
                title="maps",
                default="maps",
            )
        }
    )


def test_a_result_comes_back_with_its_attributes(tmp_path):
    nexus.write(tmp_path / "recon.nxs", result_tree())
    back = nexus.read(tmp_path / "recon.nxs")
    np.testing.assert_array_equal(nexus.array(back, "entry/maps/can")[1], np.arange(5) * 200 + 1000)
    np.testing.assert_array_equal(nexus.array(back, "entry/data/x"), np.arange(5) * 0.05)
    assert nexus.text(back, "entry/reconstruction/parameters/config") == "µ = 1\n"
    assert nexus.array(back, "entry/reconstruction/parameters/seed") == 7
    maps = nexus.member(back, "entry/maps")
    assert isinstance(maps, nexus.Group)
    assert maps.attributes == {"signal": "film", "axes": ["y", "x"], "auxiliary_signals": ["can"]}
    film = nexus.member(back, "entry/maps/film")
    assert isinstance(film, nexus.Dataset)
    assert film.units == "1/mm/sr"
    assert film.values.dtype == np.float32


def test_a_result_is_readable_without_the_compression_plugins(tmp_path):
    nexus.write(tmp_path / "recon.nxs", result_tree())
    code = (
        "import h5py, sys; f = h5py.File(sys.argv[1]); cube = f['entry/data/cube'];"
        "assert cube.compression == 'gzip' and cube.shuffle; print(cube[5, 4, 199]);"
        "assert 'hdf5plugin' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "recon.nxs")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) == 6 * 5 * 200 - 1


def test_texts_are_utf8_of_any_length_and_attributes_follow_the_defaults(tmp_path):
    nexus.write(tmp_path / "recon.nxs", result_tree())
    with h5py.File(tmp_path / "recon.nxs") as file:
        title = h5py.check_string_dtype(file["entry/title"].dtype)
        assert title.encoding == "utf-8"
        assert title.length is None
        default = file[file.attrs["default"]]
        assert default.attrs["NX_class"] == "NXentry"
        shown = default[default.attrs["default"]]
        assert shown.attrs["NX_class"] == "NXdata"
        assert shown[shown.attrs["signal"]].ndim == 2  # a map first


def test_a_default_signal_axis_or_unit_that_cannot_be_is_an_error():
    film = nexus.dataset(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="lacks its member 'y'"):
        nexus.data_group({"film": film}, signal="film", axes=("y", "."))
    with pytest.raises(ValueError, match="film_errors: needs data 'film'"):
        nexus.data_group({"film": film}, signal="film", axes=(), errors={"film": np.zeros(3)})
    with pytest.raises(ValueError, match="default = 'maps': the entry has film"):
        nexus.entry_group({"film": film}, title="", default="maps")
    with pytest.raises(ValueError, match="units = '1/Å': allowed are ASCII"):
        nexus.dataset(1.0, "1/Å")
    with pytest.raises(ValueError, match="no 'b' on the way to entry/b"):
        nexus.member(nexus.root_group({"entry": nexus.Group(nx_class="NXentry")}), "entry/b")


@pytest.mark.peers
def test_silx_shows_the_map_first(tmp_path):
    silx = pytest.importorskip("silx.io.nxdata", reason="extra peers")
    nexus.write(tmp_path / "recon.nxs", result_tree())
    with h5py.File(tmp_path / "recon.nxs") as file:
        shown = silx.get_default(file)
        assert shown.is_valid, shown.issues
        assert shown.signal.shape == (6, 5)
        assert shown.interpretation == "image"
