"""A run of a few seconds for tests: a small panel, coarse accuracy, 11 x 8 rays in two slices."""

import contextlib
import io
import json
import sys
from pathlib import Path
from unittest import mock

import h5py
import numpy as np

from xrdct_sim import cli
from xrdct_sim.config.experiment import RunSettings
from xrdct_sim.config.layers import load_settings

TINY = (
    "detector.name=Pilatus100k",
    "detector.binning=2",
    "detector.distance_mm=200",
    "beam.width_um=800",
    "scan.n_translations=11",
    "scan.step_um=800",
    "scan.n_rotations=8",
    "scan.exposure_s=0.5",
    "scan.slice_heights_um=[-10.0, 140.0]",
    "accuracy.depth_step_mm=0.4",
    "accuracy.texture_depth_bins=2",
    "accuracy.texture_azimuths=40",
    "accuracy.texture_rings=6",
    "accuracy.texture_tolerance=0.1",
    "accuracy.n_sensor_depths=2",
    "recover.q_min_per_A=0.9",
    "recover.q_max_per_A=7.0",
    "recover.n_q=122",
    "recover.n_azimuth=12",
    "recover.channels.steel.q_per_A=[3.02, 3.18]",
    "recover.channels.LiCoO2.q_per_A=[1.28, 1.4]",
    "recover.channels.separator.q_per_A=[1.7, 1.78]",
    "recover.channels.density.q_per_A=[5.0, 6.5]",
    "recover.peaks.LiCoO2_003.q_per_A=[1.0, 1.7]",
    "recover.peaks.Fe_110.q_per_A=[2.8, 3.4]",
    "recover.rings.LiCoO2_003.q_per_A=[1.2, 1.5]",
    "recover.rings.LiCoO2_003.background_per_A=[[1.0, 1.15], [1.55, 1.7]]",
)
"""Overrides of the quick coin cell; its panel sees whole rings up to Q = 3."""


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
"""Files of a run in one go, without frames."""


def with_sets(*overrides: str) -> list[str]:
    """Return the tiny run's overrides and more as options of the command line."""
    return [word for text in (*TINY, *overrides) for word in ("--set", text)]


def settings(*overrides: str) -> RunSettings:
    """Return the tiny run's settings."""
    return load_settings("coin_cell", "quick", [*TINY, *overrides])


def call(*arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process: exit code, output, complaint."""
    output, complaint = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["xrdct-sim", *map(str, arguments)]),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(complaint),
    ):
        try:
            cli.main()
        except SystemExit as exited:
            code = int(exited.code or 0)
    return code, output.getvalue(), complaint.getvalue()


def done(*arguments: object) -> None:
    """Run the command line, which must succeed without a word of complaint."""
    code, _, complaint = call(*arguments)
    assert (code, complaint) == (0, ""), complaint


def refused(*arguments: object) -> str:
    """Run the command line, which must refuse in one line; return that line."""
    code, output, complaint = call(*arguments)
    assert code == 2, complaint
    assert output == ""
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert "Traceback" not in complaint
    return complaint.removeprefix("error: ").strip()


def names(folder: Path) -> set[str]:
    """Return what is in a folder, hidden files too."""
    return {path.name for path in folder.iterdir()}


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all numbers of an HDF5 file by their path; links are not followed."""
    found = {}

    def keep(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "iufb":
            found[name] = node[()]

    with h5py.File(path) as file:
        file.visititems(keep)
    return found


def differing(first: Path, second: Path) -> list[str]:
    """Return paths of numbers that two files do not share to the last bit."""
    one, two = arrays(first), arrays(second)
    assert one, f"{first} holds no numbers"
    missing = sorted(set(one) ^ set(two))
    return missing + [
        name
        for name in one
        if name in two
        and not (
            one[name].dtype == two[name].dtype
            and one[name].shape == two[name].shape
            and one[name].tobytes() == two[name].tobytes()
        )
    ]


def metrics(folder: Path) -> list[dict]:
    """Return all numbers of a score."""
    return json.loads((folder / "score.json").read_text(encoding="utf-8"))["metrics"]
