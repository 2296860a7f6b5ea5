"""The four steps of a run, each from files to files, so that a chain of them is a run.

A folder holds ``config.toml`` (resolved), ``geometry.poni``, ``mask.npy``, ``integrated.nxs``,
``recon.nxs``, ``truth.nxs``, ``score.json``, ``report.html``, and ``scan.nxs`` if frames are kept.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from xrdct_sim import __version__
from xrdct_sim.config.experiment import RecoverSettings, RunSettings
from xrdct_sim.config.layers import settings_toml
from xrdct_sim.judge.compare import Comparison
from xrdct_sim.judge.report import report_html
from xrdct_sim.judge.score import read_score, score_json
from xrdct_sim.judge.score import score as score_comparison
from xrdct_sim.judge.truth_file import write_truth
from xrdct_sim.recover.binning import make_binning
from xrdct_sim.recover.centre import LEAST_ROTATIONS
from xrdct_sim.recover.counting import cell_counts
from xrdct_sim.recover.integrated_file import (
    Example,
    fingerprint,
    read_counts,
    read_example,
    write_counts,
    write_integrated,
)
from xrdct_sim.recover.recon_file import write_recovery
from xrdct_sim.recover.run import recover as recover_scan
from xrdct_sim.scanfile.nexus import naming
from xrdct_sim.scanfile.nxtomo import read_scan, write_scan
from xrdct_sim.scanfile.scan import Scan, ScanInfo
from xrdct_sim.simulate.integrated import integrated_counts
from xrdct_sim.simulate.run import SimulatedScan
from xrdct_sim.workflow.build import build_experiment
from xrdct_sim.workflow.comparing import comparison_of, digest, provenance_of
from xrdct_sim.workflow.folder import Folder, check_folder, fresh, made, outdated, replace_text
from xrdct_sim.workflow.recovering import check_reflections, recovery_settings
from xrdct_sim.workflow.truth import truth_of

Progress = Callable[[int, int, str], None]
T = TypeVar("T")
ROUTES = ("frames", "integrated")


def run(
    settings: RunSettings,
    directory: Path,
    *,
    route: str = "frames",
    frames: bool = False,
    progress: Progress | None = None,
) -> None:
    """Simulate, recover, score and report."""
    _check_run(settings, route, frames)
    simulate(settings, directory, route=route, frames=frames, progress=progress)
    recover(directory, directory, settings.recover, progress=progress)
    comparison = score(directory, progress=progress)
    _write_report(Folder(path=directory), comparison)


def _check_run(settings: RunSettings, route: str, frames: bool) -> None:
    """What a recovery would refuse after the simulation is refused before it."""
    if settings.recover.engine != "histogram" and not frames:
        raise ValueError(
            f"recover.engine = {settings.recover.engine!r}: integrates frames; allowed with "
            f"--frames{' and --route frames' if route == 'integrated' else ''}"
        )
    found = settings.scan.n_rotations
    if settings.recover.rotation_axis_mm is None and found < LEAST_ROTATIONS:
        raise ValueError(
            f"scan.n_rotations = {found}: allowed is {LEAST_ROTATIONS} or more, to find the "
            "rotation axis, or any number with recover.rotation_axis_mm"
        )


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
    check_folder(directory)
    text = settings_toml(settings)
    checked = recovery_settings(settings.recover)
    check_reflections(checked, settings.beam.energy_keV)
    experiment = build_experiment(settings, {"config_sha256": digest(text)})
    simulated = SimulatedScan(experiment)
    scan = simulated.scan()
    binning = make_binning(scan.info, checked.binning)
    folder = fresh(directory)
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
    example = _example_frame(scan.info, simulated.frame)
    write_counts(folder.integrated, scan.info, binning, counts, date, example)
    truth = truth_of(simulated, scan.info, binning, checked, settings)
    provenance = provenance_of(text)
    write_truth(
        folder.truth, truth, experiment.name, version=__version__, date=date, parameters=provenance
    )


def recover(
    source: Path,
    directory: Path,
    settings: RecoverSettings,
    *,
    poni: Path | None = None,
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
        A PONI file to use instead of the scan's own.
    """
    checked = recovery_settings(settings)
    check_folder(directory)
    folder = Folder(path=directory)
    beside = Folder(path=source if source.is_dir() else source.parent)
    frames_at = source if source.is_file() else beside.scan
    counts: NDArray[np.number] | None
    example: Example | None = None
    from_sums = not frames_at.is_file() or frames_at.name == beside.integrated.name
    if not from_sums:
        scan = _with_poni(poni, partial(read_scan, frames_at))
        counts = None
        check_reflections(checked, scan.info.energy_keV)
        binning = make_binning(scan.info, checked.binning)
        if checked.engine == "histogram":
            counts = cell_counts(scan, binning, _named(progress, "reading frames"))
        example = _example_frame(scan.info, scan.frame)
    else:
        info, counts, partition = _with_poni(poni, partial(read_counts, beside.integrated))
        scan = Scan(info=info, frame=_no_frames)
        check_reflections(checked, info.energy_keV)
        binning = make_binning(info, checked.binning)
        if fingerprint(binning) != partition:
            raise ValueError(
                f"{beside.integrated}: its counts were summed in other bins than recover.n_q, "
                "q range, n_azimuth and rings now ask for: simulate again, or keep frames "
                "(--frames)"
            )
        if checked.engine != "histogram":
            raise ValueError(
                f"{beside.integrated}: holds sums without frames; recover.engine = "
                f"{settings.engine!r} needs frames (--frames)"
            )
        held = read_example(beside.integrated)
        example = held[1] if held else None
    found = recover_scan(scan, checked, _named(progress, "integration"), counts)
    text = settings.model_dump_json()
    parameters = {**provenance_of(text), "settings": text}
    date = _now()
    outdated(made(directory))
    write_integrated(
        folder.integrated,
        scan.info,
        binning,
        counts,
        found.integrated,
        version=__version__,
        date=date,
        parameters=parameters,
        example=example,
    )
    write_recovery(
        folder.recon,
        found,
        scan.info.name,
        raw_file=(beside.integrated if from_sums else frames_at).name,
        version=__version__,
        date=date,
        parameters=parameters,
    )
    if not (folder / "geometry.poni").exists():
        (folder / "geometry.poni").write_text(scan.info.poni, encoding="utf-8")
        np.save(folder / "mask.npy", scan.info.mask)


def score(directory: Path, *, progress: Progress | None = None) -> Comparison:
    """Score a folder's recovery against its truth; returns what was compared."""
    folder = Folder(path=directory)
    comparison = comparison_of(folder)
    if progress is not None:
        progress(1, 1, "score")
    found = score_comparison(comparison)
    replace_text(folder.score, score_json(found, comparison))
    return comparison


def report(directory: Path) -> None:
    """Write the page of a folder that has been scored."""
    folder = Folder(path=directory)
    if not folder.score.is_file():
        raise FileNotFoundError(f"{folder.score}: no such file; run xrdct-sim score first")
    _write_report(folder, comparison_of(folder))


def _write_report(folder: Folder, comparison: Comparison) -> None:
    replace_text(folder.report, report_html(comparison, read_score(folder.score)))


def _example_frame(info: ScanInfo, frame: Callable[[int], NDArray[np.number]]) -> Example:
    """The frame through the middle of the second slice at the first rotation."""
    shape = np.array(info.grid_shape)
    wanted = np.array([min(1, shape[0] - 1), shape[1] // 2, 0])
    size = np.array([shape[1] * shape[2], shape[2], 1])
    index = int(np.argmin(np.abs(info.place - wanted) @ size))
    return Example(index=index, counts=frame(index))


def _with_poni(poni: Path | None, reading: Callable[[str | None], T]) -> T:
    """What ``reading`` gives with a PONI file's text, which complaints then name."""
    if poni is None:
        return reading(None)
    with naming(poni):
        return reading(poni.read_text(encoding="utf-8"))


def _no_frames(index: int) -> NDArray[np.number]:
    raise ValueError(f"frame {index}: this scan has sums only, no frames")


def _named(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    call: Progress = progress
    return lambda done, total: call(done, total, what)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
