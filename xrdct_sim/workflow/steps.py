"""The four steps of a run, each from files to files, so that a chain of them is a run.

A folder holds ``config.toml`` (resolved), ``geometry.poni``, ``mask.npy``, ``integrated.nxs``,
``recon.nxs``, ``truth.nxs``, ``score.json``, ``report.html``, and ``scan.nxs`` if frames are kept.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xrdct_sim import __version__
from xrdct_sim.config.experiment import RecoverSettings, RunSettings
from xrdct_sim.config.layers import load_settings, settings_toml
from xrdct_sim.judge.compare import Comparison, RawFrame
from xrdct_sim.judge.compose import Lines, compare
from xrdct_sim.judge.report import report_html
from xrdct_sim.judge.score import read_score, score_json
from xrdct_sim.judge.score import score as score_comparison
from xrdct_sim.judge.truth_file import read_truth, write_truth
from xrdct_sim.recover.binning import make_binning
from xrdct_sim.recover.counting import cell_counts
from xrdct_sim.recover.integrated_file import (
    fingerprint,
    read_counts,
    write_counts,
    write_integrated,
)
from xrdct_sim.recover.recon_file import read_recovery, write_recovery
from xrdct_sim.recover.run import recover as recover_scan
from xrdct_sim.scanfile.nxtomo import read_scan, write_scan
from xrdct_sim.scanfile.scan import Scan, ScanInfo
from xrdct_sim.simulate.integrated import integrated_counts
from xrdct_sim.simulate.run import SimulatedScan
from xrdct_sim.workflow.build import build_experiment
from xrdct_sim.workflow.example_frame import read_frame, write_frame
from xrdct_sim.workflow.geometry import beam_on_panel, ring_radius_mm
from xrdct_sim.workflow.recovering import recovery_settings
from xrdct_sim.workflow.truth import truth_of

Progress = Callable[[int, int, str], None]
ROUTES = ("frames", "integrated")


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Where a run keeps its files."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def config(self) -> Path:
        """Resolved settings."""
        return self.path / "config.toml"

    @property
    def scan(self) -> Path:
        """Frames."""
        return self.path / "scan.nxs"

    @property
    def integrated(self) -> Path:
        """Sums over cells, I(Q) and ring profiles."""
        return self.path / "integrated.nxs"

    @property
    def recon(self) -> Path:
        """Reconstruction."""
        return self.path / "recon.nxs"

    @property
    def truth(self) -> Path:
        """Truth."""
        return self.path / "truth.nxs"

    @property
    def score(self) -> Path:
        """Numbers."""
        return self.path / "score.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"


def run(
    settings: RunSettings,
    directory: Path,
    *,
    route: str = "frames",
    frames: bool = False,
    progress: Progress | None = None,
) -> None:
    """Simulate, recover, score and report."""
    simulate(settings, directory, route=route, frames=frames, progress=progress)
    recover(directory, directory, settings.recover, progress=progress)
    score(directory, progress=progress)
    report(directory)


def simulate(
    settings: RunSettings,
    directory: Path,
    *,
    route: str = "frames",
    frames: bool = False,
    progress: Progress | None = None,
) -> None:
    """Simulate a scan: frames streamed into sums over the recovery's cells, and the truth.

    Parameters
    ----------
    settings
        Of the whole run.
    directory
        Made if it is not there; a run's older results in it are replaced.
    route
        "frames", or "integrated" to draw the sums without frames.
    frames
        Also write ``scan.nxs``.
    progress
        Called with (done, total, what).
    """
    if route not in ROUTES:
        raise ValueError(f"route = {route!r}: must be one of {', '.join(ROUTES)}")
    if route == "integrated" and frames:
        raise ValueError("--frames: the integrated route makes no frames; use --route frames")
    text = settings_toml(settings)
    checked = recovery_settings(settings.recover)
    experiment = build_experiment(settings, {"config_sha256": _digest(text)})
    simulated = SimulatedScan(experiment)
    scan = simulated.scan()
    binning = make_binning(scan.info, checked.binning)
    folder = _fresh(directory)
    folder.config.write_text(text, encoding="utf-8")
    (folder / "geometry.poni").write_text(scan.info.poni, encoding="utf-8")
    np.save(folder / "mask.npy", scan.info.mask)
    if frames:
        write_scan(folder.scan, scan, progress)
        scan = read_scan(folder.scan)
    if route == "integrated":
        counts = integrated_counts(
            simulated, binning.cell_of_pixel, binning.n_cells, _named(progress, "integrated counts")
        )
    else:
        what = "reading frames" if frames else "frames"
        counts = cell_counts(scan, binning, _named(progress, what))
    date = _now()
    write_counts(folder.integrated, scan.info, binning, counts, date)
    index = _middle_frame(scan.info)
    image = simulated.frame(index)
    write_frame(folder.integrated, index, image)
    truth = truth_of(simulated, scan.info, binning, checked, settings)
    provenance = _provenance(text)
    write_truth(
        folder.truth, truth, experiment.name, version=__version__, date=date, parameters=provenance
    )


def recover(
    source: Path,
    directory: Path,
    settings: RecoverSettings,
    *,
    poni: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Recover a scan: frames if there are any, otherwise the sums of a simulation.

    Parameters
    ----------
    source
        Folder of a run, or a scan's file.
    directory
        Where the results go.
    settings
        Of the recovery.
    poni
        Text of a PONI file to use instead of the scan's own.
    """
    checked = recovery_settings(settings)
    directory.mkdir(parents=True, exist_ok=True)
    folder = Folder(path=directory)
    beside = Folder(path=source if source.is_dir() else source.parent)
    frames_at = source if source.is_file() else beside.scan
    counts: NDArray[np.number] | None
    example: tuple[int, NDArray[np.number]] | None = None
    if frames_at.is_file() and frames_at.name != beside.integrated.name:
        scan = read_scan(frames_at, poni)
        counts = None
        binning = make_binning(scan.info, checked.binning)
        if checked.engine == "histogram":
            counts = cell_counts(scan, binning, _named(progress, "reading frames"))
        index = _middle_frame(scan.info)
        example = (index, scan.frame(index))
    else:
        info, counts, partition = read_counts(beside.integrated, poni)
        scan = Scan(info=info, frame=_no_frames)
        binning = make_binning(info, checked.binning)
        if fingerprint(binning) != partition:
            raise ValueError(
                f"{beside.integrated}: its counts were summed in other bins than recover.n_q, "
                "q range, n_azimuth and rings now ask for: simulate again, or keep frames "
                "(--frames)"
            )
        example = read_frame(beside.integrated)
    found = recover_scan(scan, checked, _named(progress, "integration"), counts)
    text = settings.model_dump_json()
    parameters = {**_provenance(text), "settings": text}
    date = _now()
    write_integrated(
        folder.integrated,
        scan.info,
        binning,
        counts,
        found.integrated,
        version=__version__,
        date=date,
        parameters=parameters,
    )
    if example is not None:
        write_frame(folder.integrated, *example)
    write_recovery(
        folder.recon, found, scan.info.name, version=__version__, date=date, parameters=parameters
    )
    if not (folder / "geometry.poni").exists():
        (folder / "geometry.poni").write_text(scan.info.poni, encoding="utf-8")
        np.save(folder / "mask.npy", scan.info.mask)


def score(directory: Path, *, progress: Progress | None = None) -> None:
    """Score a folder's recovery against its truth."""
    folder = Folder(path=directory)
    comparison = comparison_of(folder)
    if progress is not None:
        progress(1, 1, "score")
    found = score_comparison(comparison)
    _replace(folder.score, score_json(found, comparison))


def report(directory: Path) -> None:
    """Write the page of a folder that has been scored."""
    folder = Folder(path=directory)
    if not folder.score.is_file():
        raise FileNotFoundError(f"{folder.score}: no such file; run xrdct-sim score first")
    _replace(folder.report, report_html(comparison_of(folder), read_score(folder.score)))


def comparison_of(folder: Folder) -> Comparison:
    """Recovery and truth of a folder, side by side."""
    for path, step in ((folder.recon, "recover"), (folder.truth, "simulate")):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; run xrdct-sim {step} first")
    settings = load_settings(str(folder.config))
    lines = Lines(
        peaks={name: peak.material for name, peak in settings.recover.peaks.items()},
        rings={name: ring.material for name, ring in settings.recover.rings.items()},
    )
    return compare(
        settings.phantom.name,
        read_recovery(folder.recon),
        read_truth(folder.truth),
        recovery_settings(settings.recover),
        lines,
        settings.beam.energy_keV,
        frame=_raw_frame(folder, settings),
        shown_settings=_flat(settings),
        provenance=_provenance(folder.config.read_text(encoding="utf-8")),
    )


def _raw_frame(folder: Folder, settings: RunSettings) -> RawFrame | None:
    """The example frame with the ring that the texture is read from."""
    held = read_frame(folder.integrated)
    if held is None:
        return None
    index, image = held
    info, _, _ = read_counts(folder.integrated)
    return RawFrame(
        label=_frame_label(info, index),
        counts=image,
        mask=info.mask,
        pixel_mm=beam_on_panel(info)[1],
        ring_radius_mm={
            name: ring_radius_mm(info, 0.5 * sum(ring.q_per_A))
            for name, ring in settings.recover.rings.items()
        },
        beam_mm=beam_on_panel(info)[0],
    )


def _frame_label(info: ScanInfo, index: int) -> str:
    height, translation, rotation = (int(k) for k in info.place[index])
    return (
        f"slice {height + 1}, translation {info.translations_mm[translation]:.3g} mm, "
        f"rotation {np.rad2deg(info.rotations_rad[rotation]):.3g} deg"
    )


def _middle_frame(info: ScanInfo) -> int:
    """Index of the frame through the middle of the second slice at the first rotation."""
    shape = np.array(info.grid_shape)
    wanted = np.array([min(1, shape[0] - 1), shape[1] // 2, 0])
    return int(np.argmin(np.abs(info.place - wanted) @ np.array([10000, 100, 1])))


def _fresh(directory: Path) -> Folder:
    """The folder, without results of an earlier run."""
    made = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    folder = Folder(path=directory)
    if not made:
        for path in (folder.scan, folder.integrated, folder.recon, folder.truth):
            path.unlink(missing_ok=True)
        for path in (folder.score, folder.report):
            path.unlink(missing_ok=True)
    return folder


def _no_frames(index: int) -> NDArray[np.number]:
    raise ValueError(f"frame {index}: this scan has sums only, no frames")


def _named(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    call: Progress = progress
    return lambda done, total: call(done, total, what)


def _provenance(text: str) -> dict[str, str]:
    packages = ("jax", "numpy", "xraylib", "pyFAI")
    return {
        "config_sha256": _digest(text),
        **{f"{name}_version": version_of(name) for name in packages},
    }


def _flat(settings: RunSettings) -> dict[str, str]:
    """Every setting by its dotted name."""
    found: dict[str, str] = {}

    def walk(table: Mapping[str, object], prefix: str) -> None:
        for key, value in table.items():
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}.")
            else:
                found[f"{prefix}{key}"] = str(value)

    walk(settings.model_dump(mode="json", exclude_none=True), "")
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _replace(path: Path, text: str) -> None:
    """Write a text so that no reader ever sees half of it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    shutil.move(part, path)
