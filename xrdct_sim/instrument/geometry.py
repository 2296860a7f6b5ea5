r"""Where each detector pixel stands and what it sees: detectors and PONI files by pyFAI.

Left out: the sensor's response (efficiency, point spread) and the depth of the sample.

The lab frame has x along the beam, y horizontal, z up. pyFAI's axes (1 up, 2 horizontal, 3 along
the beam) are ``(z, -y, x)``, so that its azimuth is ``chi = atan2(z, -y) = 90° + eta`` with eta
measured from z toward +y.
"""

import contextlib
import difflib
import io
import json
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyFAI.detectors import ALL_DETECTORS, Detector, detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from pyFAI.io.ponifile import PoniFile

from xrdct_sim.physics.constants import HC_KEV_A

FloatArray = NDArray[np.floating]
MM_PER_M = 1e3
A_PER_M = 1e10


@dataclass(frozen=True, kw_only=True)
class PixelGeometry:
    """What pyFAI knows of each pixel; arrays are ``(rows, columns)`` unless stated."""

    shape: tuple[int, int]
    pixel_mm: tuple[float, float]  # along rows, along columns
    distance_mm: float
    wavelength_A: float
    plane_mm: FloatArray  # (n, 2) slow and fast coordinate in the detector's plane, row by row
    position_mm: FloatArray  # (n, 3) lab x, y, z of the pixel's centre, row by row
    two_theta_rad: FloatArray
    chi_rad: FloatArray  # (-pi, pi], 0 toward -y, 90 deg toward +z
    q_per_A: FloatArray
    solid_angle_sr: FloatArray  # absolute, of one pixel
    cos_incidence: FloatArray  # 1 at normal incidence on the sensor


class PanelArrays(NamedTuple):
    """Differentiable counterpart of `PixelGeometry`, one entry per pixel."""

    position_mm: jax.Array  # (n, 3)
    two_theta_rad: jax.Array
    chi_rad: jax.Array
    solid_angle_sr: jax.Array
    cos_incidence: jax.Array


def detector_names() -> tuple[str, ...]:
    """Every name under which pyFAI knows a detector, sorted."""
    return tuple(sorted(str(name) for name in ALL_DETECTORS))


def _named_detector(name: str) -> Detector:
    key = name.lower()
    if key not in ALL_DETECTORS:
        near = difflib.get_close_matches(key, detector_names(), n=3, cutoff=0.0)
        raise ValueError(
            f"detector = {name!r}: not one of pyFAI's detectors; nearest: {', '.join(near)}"
        )
    found = detector_factory(name)
    if found.shape is None or found.pixel1 is None:
        raise ValueError(f"detector = {name!r}: has no size of its own; name a complete detector")
    _check_flat(found)
    return found


def _binned(detector: Detector, binning: int) -> Detector:
    """Return the detector with ``binning`` squared pixels added up, cropped to whole pixels."""
    rows, columns = detector.shape
    if binning < 1 or binning > min(rows, columns):
        raise ValueError(f"binning = {binning}: must be an integer from 1 to {min(rows, columns)}")
    if binning == 1:
        return detector
    shape = (rows // binning, columns // binning)
    size = {"pixel1": detector.pixel1 * binning, "pixel2": detector.pixel2 * binning}
    name = type(detector).__name__
    if detector.mask is None and detector.uniform_pixel:
        same = detector_factory(name, {**size, "orientation": 3})
        if tuple(same.shape) == shape and np.isclose(same.pixel1, size["pixel1"]):
            return same
    return detector_factory("Detector", {**size, "max_shape": list(shape), "orientation": 3})


def detector_size(name: str, *, binning: int = 1) -> tuple[tuple[int, int], tuple[float, float]]:
    """Shape (rows, columns) and pixel size (along rows, along columns; mm) of a detector."""
    detector = _binned(_named_detector(name), binning)
    rows, columns = detector.shape
    return (int(rows), int(columns)), (
        float(detector.pixel1) * MM_PER_M,
        float(detector.pixel2) * MM_PER_M,
    )


def detector_mask(name: str, *, binning: int = 1) -> NDArray[np.bool_]:
    """Gaps of a detector, True = no pixel there; a binned pixel with any gap in it is a gap."""
    detector = _named_detector(name)
    rows, columns = _binned(detector, binning).shape
    if detector.mask is None:
        return np.zeros((rows, columns), dtype=bool)
    whole = np.asarray(detector.mask, dtype=bool)[: rows * binning, : columns * binning]
    blocks = whole.reshape(rows, binning, columns, binning).any(axis=(1, 3))
    return np.asarray(blocks, dtype=bool)


def write_poni(
    *,
    detector: str,
    distance_mm: float,
    energy_keV: float,
    binning: int = 1,
    beam_centre_pixel: tuple[float, float] | None = None,
    rotations_rad: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> str:
    """Text of a fresh PONI file.

    Parameters
    ----------
    detector
        One of pyFAI's detector names.
    distance_mm
        From the rotation axis to the point of normal incidence.
    energy_keV
        Photon energy.
    binning
        Pixels added up along each side.
    beam_centre_pixel
        (row, column) of the point of normal incidence, in binned pixels, where 0.5 is the centre
        of the first pixel; the panel's middle if not given. Without tilt the beam hits it.
    rotations_rad
        pyFAI's rot1, rot2, rot3.

    Returns
    -------
        PONI text without a date, so that equal input gives equal text.
    """
    if not distance_mm > 0:
        raise ValueError(f"distance_mm = {distance_mm}: must be positive")
    if not energy_keV > 0:
        raise ValueError(f"energy_keV = {energy_keV}: must be positive")
    panel = _binned(_named_detector(detector), binning)
    row, column = beam_centre_pixel or (panel.shape[0] / 2, panel.shape[1] / 2)
    geometry = AzimuthalIntegrator(
        dist=distance_mm / MM_PER_M,
        poni1=row * panel.pixel1,
        poni2=column * panel.pixel2,
        rot1=rotations_rad[0],
        rot2=rotations_rad[1],
        rot3=rotations_rad[2],
        detector=panel,
        wavelength=HC_KEV_A / energy_keV / A_PER_M,
    )
    text = io.StringIO()
    PoniFile(geometry).write(text)
    kept = [line for line in text.getvalue().splitlines() if "Calibration done on" not in line]
    return "\n".join(kept) + "\n"


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Silence a logger whose message is about to be raised as an error."""
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def read_poni(poni: str, shape: tuple[int, int] | None = None) -> AzimuthalIntegrator:
    """Integrator of pyFAI for a PONI text, checked against the frames' shape if that is given."""
    with _quiet(logging.getLogger("pyFAI.detectors")), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "geometry.poni"
        path.write_text(poni, encoding="utf-8")
        try:
            record = PoniFile(str(path))
        except (RuntimeError, ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"poni: cannot be read: {str(error).splitlines()[0]}") from error
    _check_record(record)
    integrator = AzimuthalIntegrator()
    integrator.auto_gc = False  # nothing to free here, and a collection takes 0.3 s
    integrator._init_from_poni(record)
    _check_shape(integrator.detector, shape)
    _check_flat(integrator.detector)
    return integrator


def _check_record(record: PoniFile) -> None:
    given: dict[str, Any] = {
        "Distance": record.dist,
        "Poni1": record.poni1,
        "Poni2": record.poni2,
        "Wavelength": record.wavelength,
    }
    missing = [key for key, value in given.items() if value is None]
    if missing:
        raise ValueError(f"poni: no value for {', '.join(missing)}")
    for key in ("Distance", "Wavelength"):
        if not given[key] > 0:
            raise ValueError(f"poni: {key} = {given[key]}: must be positive")


def _check_flat(detector: Detector) -> None:
    if not detector.IS_FLAT or not detector.IS_CONTIGUOUS:
        raise ValueError(
            f"detector {type(detector).__name__}: is curved or has no square pixels; "
            "allowed are flat panels"
        )


def _check_shape(detector: Detector, shape: tuple[int, int] | None) -> None:
    if shape is None or detector.shape is None:
        if detector.shape is None and shape is not None:
            detector.max_shape = detector.shape = tuple(shape)
        return
    if tuple(detector.shape) != tuple(shape):
        raise ValueError(
            f"detector mismatch with the PONI: {type(detector).__name__} has shape "
            f"{tuple(int(n) for n in detector.shape)}, the frames have {tuple(shape)}"
        )


def pixel_geometry(poni: str, shape: tuple[int, int] | None = None) -> PixelGeometry:
    """Positions, angles and solid angles of all pixels of a PONI text.

    Parameters
    ----------
    poni
        Full text of a PONI file.
    shape
        Shape of the frames, if they are to be checked against the PONI's detector.
    """
    geometry = read_poni(poni, shape)
    panel = geometry.detector
    if panel.shape is None:
        raise ValueError("poni: the detector has no shape; give the frames' shape")
    rows, columns = (int(n) for n in panel.shape)
    along, up, across = geometry.calc_pos_zyx()
    slow, fast, _ = panel.calc_cartesian_positions()
    row, column = np.meshgrid(np.arange(rows) * 1.0, np.arange(columns) * 1.0, indexing="ij")
    cos_incidence = np.asarray(geometry.cos_incidence(row, column))
    area = panel.pixel1 * panel.pixel2 / geometry.dist**2
    two_theta = np.asarray(geometry.center_array((rows, columns), unit="2th_rad", scale=False))
    wavelength = float(geometry.wavelength) * A_PER_M
    return PixelGeometry(
        shape=(rows, columns),
        pixel_mm=(float(panel.pixel1) * MM_PER_M, float(panel.pixel2) * MM_PER_M),
        distance_mm=float(geometry.dist) * MM_PER_M,
        wavelength_A=wavelength,
        plane_mm=np.stack([slow.ravel(), fast.ravel()], axis=-1) * MM_PER_M,
        position_mm=np.stack([along.ravel(), -across.ravel(), up.ravel()], axis=-1) * MM_PER_M,
        two_theta_rad=two_theta,
        chi_rad=np.asarray(geometry.center_array((rows, columns), unit="chi_rad", scale=False)),
        q_per_A=4 * np.pi / wavelength * np.sin(two_theta / 2),
        solid_angle_sr=area * cos_incidence**3,
        cos_incidence=cos_incidence,
    )


def panel_arrays(
    distance_mm: float | jax.Array,
    poni_mm: ArrayLike,
    rotations_rad: ArrayLike,
    plane_mm: ArrayLike,
    pixel_area_mm2: float | jax.Array,
) -> PanelArrays:
    r"""Positions, angles and solid angles of a flat panel's pixels, differentiable.

    .. math::
        (z, -y, x) = R_3(r_3) R_2(-r_2) R_1(-r_1) (p_1 - P_1, p_2 - P_2, D), \quad
        \cos a = D / |\mathbf r|, \quad \Delta\Omega = A \cos^3 a / D^2

    Parameters
    ----------
    distance_mm
        D, from the sample to the point of normal incidence.
    poni_mm
        P1, P2: that point in the detector's plane, slow axis first.
    rotations_rad
        pyFAI's rot1, rot2, rot3.
    plane_mm
        p1, p2 of each pixel, ``(n, 2)``.
    pixel_area_mm2
        A.

    Notes
    -----
    The azimuth has no gradient on the beam axis itself.
    """
    c1, c2, c3 = jnp.cos(jnp.asarray(rotations_rad))
    s1, s2, s3 = jnp.sin(jnp.asarray(rotations_rad))
    plane = jnp.asarray(plane_mm) - jnp.asarray(poni_mm)
    p1, p2 = plane[..., 0], plane[..., 1]
    up = p1 * c2 * c3 + p2 * (c3 * s1 * s2 - c1 * s3) - distance_mm * (c1 * c3 * s2 + s1 * s3)
    across = p1 * c2 * s3 + p2 * (c1 * c3 + s1 * s2 * s3) + distance_mm * (c3 * s1 - c1 * s2 * s3)
    along = p1 * s2 - p2 * c2 * s1 + distance_mm * c1 * c2
    cos_incidence = distance_mm / jnp.sqrt(distance_mm**2 + p1**2 + p2**2)
    return PanelArrays(
        position_mm=jnp.stack([along, -across, up], axis=-1),
        two_theta_rad=jnp.arctan2(jnp.hypot(up, across), along),
        chi_rad=jnp.arctan2(up, across),
        solid_angle_sr=pixel_area_mm2 * cos_incidence**3 / distance_mm**2,
        cos_incidence=cos_incidence,
    )
