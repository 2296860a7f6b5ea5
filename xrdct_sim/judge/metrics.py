r"""How far a recovered map r is from the truth t: one number each, or a reason why there is none.

Sums run over the n voxels where both maps have a value; e = r - t; sigma is the stated error bar.

.. math::
    \mathrm{bias} = \tfrac1n\sum e, \quad
    \mathrm{MAE} = \tfrac1n\sum |e|, \quad
    p_{95} = \text{95th percentile of } |e|, \quad
    \mathrm{NRMSE} = \sqrt{\tfrac1n\sum e^2} / L

    \mathrm{relative\ bias} = \tfrac1n\sum e/t, \quad
    \mathrm{amount} = \sum e / \sum t, \quad
    \mathrm{ppm} = 10^6 e / t, \quad
    \mathrm{pull} = e/\sigma

    \mathrm{Dice} = 2|A \cap B| / (|A| + |B|), \quad A = \{r > \theta\},\ B = \{t > \theta\}

L is a fixed range of the truth, never the recovery's own. Left out: correlations between voxels,
which make the standard errors given here lower bounds.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion
from skimage.metrics import structural_similarity

FloatArray = NDArray[np.float64]
SSIM_WINDOW = 7  # voxels, scikit-image's default
CONSTANT = 1e-6  # relative spread below which single precision cannot tell values apart


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number with the voxels it rests on; NaN comes with its reason in the note."""

    value: float
    n_voxels: int
    note: str = ""
    error: float = math.nan  # one standard error, where the metric has one


def undefined(reason: str, n_voxels: int = 0) -> Measure:
    """Return a measure without a value."""
    return Measure(value=math.nan, n_voxels=n_voxels, note=reason)


def paired(recovered: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray, str]:
    """Values of the voxels that have both, flat, and a note on those without a recovered one."""
    r, t = np.asarray(recovered, np.float64), np.asarray(truth, np.float64)
    known = np.isfinite(t)
    both = known & np.isfinite(r)
    lost = int(np.count_nonzero(known & ~both))
    note = f"{lost} voxels without a recovered value left out" if lost else ""
    return r[both], t[both], note


def _measure(value: float, n_voxels: int, note: str) -> Measure:
    if not math.isfinite(value):
        return undefined("not a finite number", n_voxels)
    return Measure(value=float(value), n_voxels=n_voxels, note=note)


def _empty(recovered: ArrayLike, truth: ArrayLike) -> Measure:
    if not np.isfinite(np.asarray(truth, np.float64)).any():
        return undefined("no voxel with a true value")
    if not np.isfinite(np.asarray(recovered, np.float64)).any():
        return undefined("no voxel with a recovered value")
    return undefined("no voxel with both a recovered and a true value")


def nrmse(recovered: ArrayLike, truth: ArrayLike, data_range: float) -> Measure:
    r"""Root mean square error over a fixed range of the truth.

    .. math:: \sqrt{\tfrac1n\sum (r - t)^2} / L

    Parameters
    ----------
    recovered, truth
        Maps of one shape and unit; voxels where either is NaN are left out.
    data_range
        L, in the maps' unit.
    """
    r, t, note = paired(recovered, truth)
    if not r.size:
        return _empty(recovered, truth)
    if not data_range > 0:
        return undefined("the truth has no range to divide by", r.size)
    return _measure(float(np.sqrt(np.mean((r - t) ** 2)) / data_range), r.size, note)


def ssim(recovered: ArrayLike, truth: ArrayLike, data_range: float) -> Measure:
    """Structural similarity with a fixed data range: scikit-image's, 7 x 7 uniform window.

    Parameters
    ----------
    recovered, truth
        Maps, shape (y, x). The mean runs over the voxels whose whole window lies inside the map
        and holds no NaN, so that no filled-in value takes part.
    data_range
        Fixed range of the truth, in the maps' unit.

    References
    ----------
    Z. Wang et al., IEEE Trans. Image Process. 13 (2004) 600.
    """
    r, t = np.asarray(recovered, np.float64), np.asarray(truth, np.float64)
    valid = np.isfinite(r) & np.isfinite(t)
    if not valid.any():
        return _empty(recovered, truth)
    whole = binary_erosion(valid, np.ones((SSIM_WINDOW, SSIM_WINDOW)), border_value=0)
    n = int(np.count_nonzero(whole))
    if n == 0:
        return undefined(f"no {SSIM_WINDOW} x {SSIM_WINDOW} window without a missing voxel")
    if not data_range > 0:
        return undefined("the truth has no range to compare with", n)
    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        np.where(valid, r, 0.0),
        np.where(valid, t, 0.0),
        win_size=SSIM_WINDOW,
        data_range=data_range,
        full=True,
    )
    lost = int(np.count_nonzero(valid)) - n
    note = f"{lost} voxels near an edge or a missing value left out" if lost else ""
    return _measure(float(np.mean(similarity[whole])), n, note)


def dice(recovered: ArrayLike, truth: ArrayLike, threshold: float) -> Measure:
    r"""Overlap of the regions above a threshold.

    .. math:: 2|A \cap B| / (|A| + |B|), \quad A = \{r > \theta\},\ B = \{t > \theta\}

    Parameters
    ----------
    recovered, truth
        Maps of one shape. Voxels without truth are left out; one without a recovered value counts
        as not in A.
    threshold
        In the maps' unit, e.g. half of the largest truth.
    """
    r, t = np.asarray(recovered, np.float64), np.asarray(truth, np.float64)
    known = np.isfinite(t)
    if not known.any():
        return _empty(recovered, truth)
    in_a = np.nan_to_num(r[known], nan=-np.inf, posinf=-np.inf) > threshold
    in_b = t[known] > threshold
    total = int(np.count_nonzero(in_a) + np.count_nonzero(in_b))
    if total == 0:
        return undefined("nothing above the threshold in either map", in_b.size)
    overlap = int(np.count_nonzero(in_a & in_b))
    return _measure(2 * overlap / total, in_b.size, "")


def difference(recovered: ArrayLike, truth: ArrayLike, period: float | None = None) -> FloatArray:
    """Recovered minus true, in the maps' unit; with a period, the nearest such difference."""
    e = np.asarray(recovered, np.float64) - np.asarray(truth, np.float64)
    return e if period is None else np.asarray(e - period * np.round(e / period))


def bias(error: ArrayLike) -> Measure:
    r"""Mean error and its standard error if voxels were independent; NaN voxels are left out.

    .. math:: \tfrac1n\sum e \pm \mathrm{std}(e)/\sqrt n
    """
    e = _finite(error)
    if not e.size:
        return undefined("no voxel with both a recovered and a true value")
    spread = float(np.std(e, ddof=1) / np.sqrt(e.size)) if e.size > 1 else math.nan
    return Measure(value=float(np.mean(e)), n_voxels=e.size, error=spread)


def mean_absolute(error: ArrayLike) -> Measure:
    """Mean of abs(error); NaN voxels are left out."""
    e = _finite(error)
    if not e.size:
        return undefined("no voxel with both a recovered and a true value")
    return Measure(value=float(np.mean(np.abs(e))), n_voxels=e.size)


def p95_absolute(error: ArrayLike) -> Measure:
    """95th percentile of abs(error), linear between samples; NaN voxels are left out."""
    e = _finite(error)
    if not e.size:
        return undefined("no voxel with both a recovered and a true value")
    return Measure(value=float(np.percentile(np.abs(e), 95)), n_voxels=e.size)


def _finite(values: ArrayLike) -> FloatArray:
    v = np.asarray(values, np.float64)
    return v[np.isfinite(v)]


def correlation(recovered: ArrayLike, truth: ArrayLike) -> Measure:
    r"""Pearson's correlation coefficient.

    .. math:: \mathrm{cov}(r, t) / (\mathrm{std}(r)\,\mathrm{std}(t))
    """
    r, t, note = paired(recovered, truth)
    if not r.size:
        return _empty(recovered, truth)
    if r.size < 3:
        return undefined(f"{r.size} voxels are too few to correlate", r.size)
    for name, values in (("truth", t), ("recovery", r)):
        if np.ptp(values) <= CONSTANT * np.max(np.abs(values)):
            return undefined(f"the {name} is constant", r.size)
    # The deviations' scale is divided out first, so that their squares do not underflow.
    a, b = ((v - v.mean()) / np.max(np.abs(v - v.mean())) for v in (r, t))
    return _measure(float(np.sum(a * b) / np.sqrt(np.sum(a**2) * np.sum(b**2))), r.size, note)


def relative_error(recovered: ArrayLike, truth: ArrayLike) -> FloatArray:
    """Return (r - t) / t per voxel; NaN where t is 0 or either is missing."""
    r, t = np.asarray(recovered, np.float64), np.asarray(truth, np.float64)
    usable = np.isfinite(r) & np.isfinite(t) & (t != 0)
    return np.asarray(np.where(usable, r - t, np.nan) / np.where(usable, t, 1.0))


def ppm_error(recovered: ArrayLike, truth: ArrayLike) -> FloatArray:
    """Return 1e6 (r - t) / t per voxel; NaN where t is 0 or either is missing."""
    return 1e6 * relative_error(recovered, truth)


def amount_error(recovered: ArrayLike, truth: ArrayLike) -> Measure:
    r"""Error of the total over the region, as a share of the true total.

    .. math:: \sum (r - t) / \sum t
    """
    r, t, note = paired(recovered, truth)
    if not r.size:
        return _empty(recovered, truth)
    if not abs(t.sum()) > 0:
        return undefined("the true amount is zero", r.size)
    return _measure(float((r - t).sum() / t.sum()), r.size, note)


def pulls(error: ArrayLike, error_bar: ArrayLike | None) -> FloatArray:
    """Error over its stated error bar, flat; voxels without a positive error bar are left out."""
    if error_bar is None:
        return np.empty(0)
    e, s = np.broadcast_arrays(np.asarray(error, np.float64), np.asarray(error_bar, np.float64))
    usable = np.isfinite(e) & np.isfinite(s) & (s > 0)
    return np.asarray(e[usable] / s[usable])


def pull_mean(pull: FloatArray) -> Measure:
    """Mean pull: 0 where the recovery has no bias beside its error bars."""
    if not pull.size:
        return undefined("no voxel with an error bar")
    return Measure(value=float(pull.mean()), n_voxels=pull.size, error=pull.size**-0.5)


def pull_std(pull: FloatArray) -> Measure:
    """Spread of the pulls, their standard deviation: 1 where the error bars tell the scatter."""
    n = pull.size
    if n < 2:
        return undefined("no voxel with an error bar" if n == 0 else "one voxel has no spread", n)
    return Measure(value=float(pull.std(ddof=1)), n_voxels=n, error=(2 * (n - 1)) ** -0.5)


def error_bar_coverage(pull: FloatArray) -> Measure:
    r"""Share of voxels whose error is within one error bar: 0.683 where those are honest.

    .. math:: k/n \pm \sqrt{ab / ((a + b)^2 (a + b + 1))}, \quad a = k + ½,\ b = n - k + ½

    Notes
    -----
    The binomial standard error is that of Jeffreys' posterior: it does not vanish at 0 and n.
    """
    n = pull.size
    if n == 0:
        return undefined("no voxel with an error bar")
    k = int(np.count_nonzero(np.abs(pull) <= 1))
    a, b = k + 0.5, n - k + 0.5
    return Measure(value=k / n, n_voxels=n, error=math.sqrt(a * b / (n + 2)) / (n + 1))


def fit_coverage(recovered: ArrayLike, region: ArrayLike) -> Measure:
    """Share of the voxels to be scored that have a recovered value."""
    wanted = np.asarray(region, np.bool_)
    n = int(np.count_nonzero(wanted))
    if n == 0:
        return undefined("no voxel to be scored")
    k = int(np.count_nonzero(np.isfinite(np.asarray(recovered, np.float64)) & wanted))
    return Measure(value=k / n, n_voxels=n)
