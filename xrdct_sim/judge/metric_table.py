"""Which metrics judge which kind of map.

Ranges and thresholds come from the truth over all slices of a quantity, so that slices compare:
the range is the largest minus the smallest truth, Dice's threshold half of the largest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.judge import metrics
from xrdct_sim.judge.compare import FloatArray, MapKind
from xrdct_sim.judge.metrics import Measure


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A map pair restricted to the voxels to be scored: NaN outside; angles in degrees."""

    recovered: FloatArray
    truth: FloatArray
    error: FloatArray
    error_bar: FloatArray | None
    region: NDArray[np.bool_]
    low: float  # smallest truth of this quantity in any slice
    high: float

    @property
    def span(self) -> float:
        """The fixed data range."""
        return self.high - self.low

    @property
    def pulls(self) -> NDArray[np.float64]:
        """Errors over their error bars."""
        return metrics.pulls(self.error, self.error_bar)


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric as it is shown."""

    label: str
    meaning: str  # formula or sentence, and the ideal value
    unit: str | None  # None: the map's own
    compute: Callable[[Scored], Measure]


METRICS: Mapping[str, MetricSpec] = {
    "nrmse": MetricSpec(
        label="NRMSE",
        meaning="root mean square error / range of the truth over all slices; 0 is perfect",
        unit="1",
        compute=lambda s: metrics.nrmse(s.recovered, s.truth, s.span),
    ),
    "ssim": MetricSpec(
        label="SSIM",
        meaning="structural similarity in 7 x 7 voxels, same fixed range; 1 is perfect",
        unit="1",
        compute=lambda s: metrics.ssim(s.recovered, s.truth, s.span),
    ),
    "dice": MetricSpec(
        label="Dice",
        meaning="overlap 2|A∩B|/(|A|+|B|) of the voxels above half of the largest truth; "
        "1 is perfect",
        unit="1",
        compute=lambda s: metrics.dice(s.recovered, s.truth, s.high / 2),
    ),
    "amount": MetricSpec(
        label="amount error",
        meaning="Σ(recovered − true) / Σ true; 0 is perfect",
        unit="1",
        compute=lambda s: metrics.amount_error(s.recovered, s.truth),
    ),
    "bias": MetricSpec(
        label="bias",
        meaning="mean of recovered − true; 0 is perfect",
        unit=None,
        compute=lambda s: metrics.bias(s.error),
    ),
    "mae": MetricSpec(
        label="mean |error|",
        meaning="mean of |recovered − true|",
        unit=None,
        compute=lambda s: metrics.mean_absolute(s.error),
    ),
    "p95": MetricSpec(
        label="95 % within",
        meaning="95th percentile of |recovered − true|",
        unit=None,
        compute=lambda s: metrics.p95_absolute(s.error),
    ),
    "bias_ppm": MetricSpec(
        label="bias",
        meaning="mean of 10⁶ (recovered − true) / true",
        unit="ppm",
        compute=lambda s: metrics.bias(metrics.ppm_error(s.recovered, s.truth)),
    ),
    "mae_ppm": MetricSpec(
        label="mean |error|",
        meaning="mean of 10⁶ |recovered − true| / true",
        unit="ppm",
        compute=lambda s: metrics.mean_absolute(metrics.ppm_error(s.recovered, s.truth)),
    ),
    "p95_ppm": MetricSpec(
        label="95 % within",
        meaning="95th percentile of 10⁶ |recovered − true| / true",
        unit="ppm",
        compute=lambda s: metrics.p95_absolute(metrics.ppm_error(s.recovered, s.truth)),
    ),
    "relative_bias": MetricSpec(
        label="relative bias",
        meaning="mean of (recovered − true) / true; 0 is perfect",
        unit="1",
        compute=lambda s: metrics.bias(metrics.relative_error(s.recovered, s.truth)),
    ),
    "correlation": MetricSpec(
        label="correlation",
        meaning="Pearson's coefficient of recovered and true voxels; 1 is perfect",
        unit="1",
        compute=lambda s: metrics.correlation(s.recovered, s.truth),
    ),
    "fit_coverage": MetricSpec(
        label="fit coverage",
        meaning="share of the voxels to be scored that have a recovered value; 1 is all",
        unit="1",
        compute=lambda s: metrics.fit_coverage(s.recovered, s.region),
    ),
    "pull_mean": MetricSpec(
        label="mean pull",
        meaning="mean of (recovered − true) / stated error bar; 0 is unbiased",
        unit="1",
        compute=lambda s: metrics.pull_mean(s.pulls),
    ),
    "pull_std": MetricSpec(
        label="spread of pulls",
        meaning="standard deviation of (recovered − true) / stated error bar; 1 where error bars "
        "are honest, larger where they are too small",
        unit="1",
        compute=lambda s: metrics.pull_std(s.pulls),
    ),
    "coverage": MetricSpec(
        label="within 1 error bar",
        meaning="share of voxels with |recovered − true| below one stated error bar; 0.683 where "
        "error bars are honest",
        unit="1",
        compute=lambda s: metrics.error_bar_coverage(s.pulls),
    ),
}

_ERROR_BARS = ("pull_mean", "pull_std", "coverage")
METRICS_OF: Mapping[MapKind, tuple[str, ...]] = {
    "phase": ("nrmse", "ssim", "dice", "amount", "bias", *_ERROR_BARS),
    "channel": ("nrmse", "ssim", "correlation", "amount", *_ERROR_BARS),
    "peak_area": ("nrmse", "ssim", "correlation", "amount", "fit_coverage", *_ERROR_BARS),
    "peak_position": ("bias_ppm", "mae_ppm", "p95_ppm", "fit_coverage", *_ERROR_BARS),
    "peak_width": ("relative_bias", "fit_coverage", *_ERROR_BARS),
    "texture_width": ("bias", "mae", "p95", "correlation", "fit_coverage", *_ERROR_BARS),
    "texture_centre": ("bias", "mae", "p95", "fit_coverage", *_ERROR_BARS),
}
