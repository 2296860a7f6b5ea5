"""Metrics: hand-computed examples, scikit-image, and what holds for all inputs."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import normalized_root_mse, structural_similarity

from xrdct_sim.judge import metrics
from xrdct_sim.judge.compare import Comparison, MapPair, SliceComparison
from xrdct_sim.judge.metric_table import METRICS, METRICS_OF
from xrdct_sim.judge.score import read_score, score, score_json

NAN = math.nan
ROUNDING = 1e-12  # some ten operations in double precision
maps = arrays(float, (9, 8), elements=st.floats(-100, 100, width=32))
masks = arrays(bool, (9, 8))


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_nrmse_and_ssim_agree_with_scikit_image() -> None:
    truth = noise((20, 30)).cumsum(axis=1)
    recovered, span = truth + 0.3 * noise((20, 30), 1), float(np.ptp(truth))
    ours = metrics.nrmse(recovered, truth, span)
    theirs = normalized_root_mse(truth, recovered, normalization="min-max")
    assert ours.value == pytest.approx(theirs, rel=ROUNDING)
    expected = structural_similarity(truth, recovered, data_range=span)
    assert metrics.ssim(recovered, truth, span).value == pytest.approx(expected, rel=1e-10)


def test_a_missing_corner_leaves_ssim_of_the_rest_unchanged() -> None:
    """Columns 0-4 lost: what is left is scikit-image's SSIM of the other columns alone."""
    truth, recovered = noise((20, 30)), noise((20, 30), 1)
    holed = recovered.copy()
    holed[:, :5] = NAN
    rest = structural_similarity(truth[:, 5:], recovered[:, 5:], data_range=4.0)
    assert metrics.ssim(holed, truth, 4.0).value == pytest.approx(rest, rel=1e-10)


def test_hand_computed_examples() -> None:
    r, t = np.array([1.0, 3.0, NAN, 8.0]), np.array([2.0, 4.0, 5.0, 4.0])
    e = metrics.difference(r, t)  # -1, -1, nan, 4
    assert metrics.nrmse(r, t, 2.0).value == pytest.approx(math.sqrt(18 / 3) / 2, rel=ROUNDING)
    assert metrics.bias(e).value == pytest.approx(2 / 3, rel=ROUNDING)
    assert metrics.mean_absolute(e).value == pytest.approx(2.0, rel=ROUNDING)
    assert metrics.p95_absolute(e).value == pytest.approx(1 + 0.9 * 3, rel=ROUNDING)
    assert metrics.amount_error(r, t).value == pytest.approx(2 / 10, rel=ROUNDING)
    ppm = metrics.ppm_error(r, t)
    np.testing.assert_allclose(ppm, [-5e5, -2.5e5, NAN, 1e6], rtol=ROUNDING)
    assert metrics.dice(r, t, 2.5).value == 2 * 2 / (2 + 3)  # {3, 8} and {4, 5, 4}
    assert metrics.fit_coverage(r, np.isfinite(t)).value == 0.75
    assert metrics.nrmse(r, t, 2.0).n_voxels == 3
    assert "1 voxels" in metrics.nrmse(r, t, 2.0).note


def test_pulls_of_honest_error_bars_have_unit_spread_and_cover_two_thirds() -> None:
    error = 3.0 * noise((400, 50))
    pull = metrics.pulls(error, np.full(error.shape, 3.0))
    for measure, ideal in (
        (metrics.pull_mean(pull), 0.0),
        (metrics.pull_std(pull), 1.0),
        (metrics.error_bar_coverage(pull), math.erf(math.sqrt(0.5))),
    ):
        assert abs(measure.value - ideal) < 4 * measure.error  # four standard errors
    binomial = math.sqrt(0.683 * 0.317 / 20000)
    assert metrics.error_bar_coverage(pull).error == pytest.approx(binomial, rel=0.01)  # p differs


def test_coverage_of_all_voxels_still_has_an_uncertainty() -> None:
    assert metrics.error_bar_coverage(np.zeros(4)).value == 1.0
    assert metrics.error_bar_coverage(np.zeros(4)).error == pytest.approx(
        math.sqrt(4.5 * 0.5 / (25 * 6)), rel=ROUNDING
    )


def test_error_bars_of_zero_or_none_give_no_pull() -> None:
    assert metrics.pulls([1.0, 2.0, 3.0], [0.0, NAN, 2.0]).tolist() == [1.5]
    assert math.isnan(metrics.pull_std(metrics.pulls([1.0], None)).value)


def test_a_ring_centre_half_a_turn_away_is_no_error() -> None:
    wrapped = metrics.difference([3.1, 0.1], [0.1, 3.1], math.pi)
    np.testing.assert_allclose(wrapped, [3.0 - math.pi, math.pi - 3.0], rtol=1e-10)


NOTHING = np.full((9, 8), NAN)
ON_MAPS = {
    "nrmse": lambda r, t: metrics.nrmse(r, t, 1.0),
    "ssim": lambda r, t: metrics.ssim(r, t, 1.0),
    "dice": lambda r, t: metrics.dice(r, t, 0.5),
    "bias": lambda r, t: metrics.bias(r - t),
    "mae": lambda r, t: metrics.mean_absolute(r - t),
    "p95": lambda r, t: metrics.p95_absolute(r - t),
    "amount": metrics.amount_error,
    "correlation": metrics.correlation,
    "relative": lambda r, t: metrics.bias(metrics.relative_error(r, t)),
    "pull mean": lambda r, t: metrics.pull_mean(metrics.pulls(r - t, np.ones_like(t))),
    "pull spread": lambda r, t: metrics.pull_std(metrics.pulls(r - t, np.ones_like(t))),
    "coverage": lambda r, t: metrics.error_bar_coverage(metrics.pulls(r - t, np.ones_like(t))),
    "fit coverage": lambda r, t: metrics.fit_coverage(r, np.isfinite(t)),
}


@pytest.mark.parametrize("name", ON_MAPS)
@pytest.mark.parametrize("size", [(9, 8), (0, 0)])
def test_without_truth_there_is_a_reason_instead_of_a_number(name, size) -> None:
    measure = ON_MAPS[name](np.ones(size), np.full(size, NAN))
    assert math.isnan(measure.value)
    assert measure.note


@pytest.mark.parametrize("name", sorted(set(ON_MAPS) - {"dice", "fit coverage"}))
def test_without_recovered_values_there_is_a_reason_instead_of_a_number(name) -> None:
    measure = ON_MAPS[name](NOTHING, np.ones((9, 8)))
    assert math.isnan(measure.value)
    assert measure.note


def test_a_recovery_without_values_overlaps_and_covers_nothing() -> None:
    assert metrics.dice(NOTHING, np.ones((9, 8)), 0.5).value == 0.0
    assert metrics.fit_coverage(NOTHING, np.ones((9, 8), bool)).value == 0.0


def test_a_constant_truth_has_no_nrmse_and_no_correlation() -> None:
    flat, r = np.full((9, 8), 1.3), noise((9, 8))
    assert math.isnan(metrics.nrmse(r, flat, 0.0).value)
    assert metrics.correlation(r, flat.astype(np.float32)).note == "the truth is constant"


@settings(deadline=None)
@given(r=maps, t=maps, scale=st.floats(1e-6, 1e6), shift=st.floats(-10, 10))
def test_nrmse_knows_no_unit_and_no_offset(r, t, scale, shift) -> None:
    plain = metrics.nrmse(r, t, 7.0).value
    moved = metrics.nrmse(scale * (r + shift), scale * (t + shift), 7.0 * scale).value
    assert moved == pytest.approx(plain, rel=1e-9, abs=1e-13)  # cancellation of values near 100


@settings(deadline=None)
@given(a=maps, b=maps, threshold=st.floats(-50, 50))
def test_dice_is_symmetric_and_a_share(a, b, threshold) -> None:
    one, other = metrics.dice(a, b, threshold), metrics.dice(b, a, threshold)
    assert one.value == other.value or (math.isnan(one.value) and math.isnan(other.value))
    assert math.isnan(one.value) or 0.0 <= one.value <= 1.0


@settings(deadline=None)
@given(t=maps, hole=masks)
def test_a_perfect_recovery_is_perfect_wherever_it_has_values(t, hole) -> None:
    r = np.where(hole, NAN, t)
    r[0, 0] = t[0, 0]
    assert metrics.nrmse(r, t, 1.0).value == 0.0
    assert metrics.p95_absolute(r - t).value == 0.0
    similar = metrics.ssim(r, t, 1.0)
    assert math.isnan(similar.value) or similar.value == pytest.approx(1.0, abs=1e-9)
    assert metrics.fit_coverage(r, np.isfinite(t)).value == np.isfinite(r).mean()


@settings(deadline=None)
@given(r=maps, t=maps, scale=st.floats(1e-3, 1e3))
def test_correlation_is_within_one_and_blind_to_a_positive_scale(r, t, scale) -> None:
    one, other = metrics.correlation(r, t), metrics.correlation(scale * r, t)
    if math.isfinite(one.value):
        assert abs(one.value) <= 1 + ROUNDING
        assert other.value == pytest.approx(one.value, abs=1e-6)  # values spread by 1e-6 of 100


@settings(deadline=None)
@given(e=maps, order=st.permutations(range(72)))
def test_errors_do_not_depend_on_the_voxels_order(e, order) -> None:
    shuffled = e.ravel()[list(order)]
    for metric in (metrics.bias, metrics.mean_absolute, metrics.p95_absolute):
        assert metric(shuffled).value == pytest.approx(metric(e).value, rel=1e-9, abs=1e-12)
    largest = np.abs(e).max()
    assert metrics.mean_absolute(e).value <= largest * (1 + ROUNDING)
    assert metrics.p95_absolute(e).value <= largest * (1 + ROUNDING)
    assert abs(metrics.bias(e).value) <= metrics.mean_absolute(e).value * (1 + ROUNDING)


AXIS = np.arange(12) * 0.1


def pair(kind="phase", unit="1", offset=0.1, **changes) -> MapPair:
    truth = np.where(np.hypot(*np.meshgrid(AXIS - 0.55, AXIS - 0.55)) < 0.4, 0.5, 0.0)
    plain = MapPair(
        kind=kind,
        title=f"a {kind}",
        unit=unit,
        recovered=truth + offset,
        truth=truth,
        error_bar=np.full(truth.shape, 0.2),
    )
    return replace(plain, **changes)


def comparison(**maps_by_name: MapPair) -> Comparison:
    piece = SliceComparison(label="slice 1", height_um=0, x_mm=AXIS, y_mm=AXIS, maps=maps_by_name)
    return Comparison(name="two discs", slices=(piece,), settings={"beam": "50 um"})


def value(result, name: str, metric: str, label: str = "slice 1") -> float:
    entry = result.get(name, label, metric)
    assert entry is not None
    return entry.value


@pytest.mark.parametrize("kind", METRICS_OF)
def test_each_kind_of_map_gets_its_metrics_and_no_number_without_a_voxel_or_a_note(kind) -> None:
    result = score(comparison(one=pair(kind), empty=pair(kind, truth=np.full((12, 12), NAN))))
    assert [e.metric for e in result.entries if e.name == "one"] == list(METRICS_OF[kind])
    assert all(e.metric in METRICS for e in result.entries)
    for entry in result.entries:
        assert (math.isfinite(entry.value) and entry.n_voxels > 0) or entry.note
        assert entry.name == "one" or math.isnan(entry.value)


def test_angles_are_scored_in_degrees() -> None:
    result = score(comparison(width=pair("texture_width", "rad", offset=0.1)))
    entry = result.get("width", "slice 1", "bias")
    assert entry is not None
    assert entry.unit == "deg"
    assert entry.value == pytest.approx(math.degrees(0.1), rel=ROUNDING)
    assert value(result, "width", "coverage") == 1.0  # 0.1 within 0.2
    assert value(result, "width", "pull_mean") == pytest.approx(0.5, rel=1e-9)


def test_only_the_voxels_to_be_scored_count() -> None:
    good = pair()
    where = good.truth > 0.25
    spoilt = replace(good, recovered=np.where(where, good.recovered, 1e6), where=where)
    result = score(comparison(film=spoilt))
    assert value(result, "film", "bias") == pytest.approx(0.1, rel=1e-9)
    entry = result.get("film", "slice 1", "bias")
    assert entry is not None
    assert entry.n_voxels == np.count_nonzero(where)


def test_slices_share_the_range_of_the_truth() -> None:
    """A slice without the phase is judged on the scale of the one that has it."""
    both = comparison(film=pair())
    empty = replace(both.slices[0], label="slice 2", maps={"film": pair(truth=np.zeros((12, 12)))})
    result = score(replace(both, slices=(*both.slices, empty)))
    assert value(result, "film", "nrmse") == pytest.approx(0.1 / 0.5, rel=1e-9)
    assert value(result, "film", "dice") == 1.0
    expected = math.sqrt(np.mean(pair().recovered ** 2)) / 0.5
    assert value(result, "film", "nrmse", "slice 2") == pytest.approx(expected, rel=1e-9)
    assert value(result, "film", "dice", "slice 2") == 0.0


def test_score_survives_writing_and_reading(tmp_path: Path) -> None:
    compared = comparison(one=pair(), empty=pair("channel", truth=np.full((12, 12), NAN)))
    text = score_json(score(compared), compared)
    path = tmp_path / "score.json"
    path.write_text(text, encoding="utf-8")
    again = read_score(path)
    assert score_json(again, compared) == text
    assert len(again.entries) == len(METRICS_OF["phase"]) + len(METRICS_OF["channel"])
    document = json.loads(text)
    assert document["schema"] == 1
    assert document["settings"] == {"beam": "50 um"}
    nulls = [m for m in document["metrics"] if m["value"] is None]
    assert {m["name"] for m in nulls} == {"empty"}
    assert all(m["note"] for m in nulls)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ('{"schema": 7}', "schema = 7"),
        ("[]", "schema = None"),
        ('{"schema": 1, "metrics": [{"name": "x"}]}', r"metrics\[0\].*value"),
    ],
)
def test_a_broken_score_file_is_named_with_its_fault(tmp_path: Path, text, complaint) -> None:
    path = tmp_path / "score.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"score\.json: .*{complaint}"):
        read_score(path)


def test_maps_that_do_not_fit_their_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"slice 1: film.truth has shape \(3, 3\)"):
        score(comparison(film=pair(truth=np.zeros((3, 3)))))
