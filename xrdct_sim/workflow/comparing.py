"""From a folder's files to a comparison of its recovery with its truth."""

import hashlib
from collections.abc import Mapping
from importlib.metadata import version as version_of

import numpy as np

from xrdct_sim.config.experiment import RecoverSettings, RunSettings
from xrdct_sim.config.layers import load_settings
from xrdct_sim.judge.compare import Comparison, RawFrame
from xrdct_sim.judge.compose import Lines, compare
from xrdct_sim.judge.truth_file import read_truth
from xrdct_sim.recover.integrated_file import read_example
from xrdct_sim.recover.recon_file import read_recovery, recovery_parameter
from xrdct_sim.scanfile.scan import ScanInfo
from xrdct_sim.workflow.folder import Folder
from xrdct_sim.workflow.geometry import beam_on_panel, ring_radius_mm
from xrdct_sim.workflow.recovering import recovery_settings


def comparison_of(folder: Folder) -> Comparison:
    """Recovery and truth of a folder, side by side, in the recovery's own windows."""
    for path, step in ((folder.recon, "recover"), (folder.truth, "simulate")):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; run xrdct-sim {step} first")
    settings = load_settings(str(folder.config))
    used = RecoverSettings.model_validate_json(recovery_parameter(folder.recon, "settings"))
    settings = settings.model_copy(update={"recover": used})
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
        provenance=provenance_of(folder.config.read_text(encoding="utf-8")),
    )


def _raw_frame(folder: Folder, settings: RunSettings) -> RawFrame | None:
    """The example frame with the ring that the texture is read from."""
    held = read_example(folder.integrated)
    if held is None:
        return None
    info, example = held
    return RawFrame(
        label=_frame_label(info, example.index),
        counts=example.counts,
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


def provenance_of(text: str) -> dict[str, str]:
    """What results depend on beside their input: the settings' digest and versions."""
    packages = ("jax", "numpy", "xraylib", "pyFAI")
    return {
        "config_sha256": digest(text),
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


def digest(text: str) -> str:
    """Identity of a text."""
    return hashlib.sha256(text.encode()).hexdigest()
