"""Reconstruction: exact geometry, the law of its noise, and two independent programs."""

import time
from dataclasses import replace

import jax
import numpy as np
import pytest
from analytic import SHEPP_LOGAN, ellipse_image, ellipse_sinogram
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from skimage.transform import iradon

from xrdct_sim.recover.reconstruct import (
    angular_weights_rad,
    axis_mm,
    fill_missing,
    filter_matrix_per_mm,
    make_plan,
    reconstruct,
    reconstruct_variance,
)

HALF_TURN = {n: np.arange(n) * np.pi / n for n in (60, 90, 120)}


def translations(n: int, step: float = 1.0, axis: float = 0.0) -> np.ndarray:
    return axis + (np.arange(n) - (n - 1) / 2) * step


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.nanmean(values.astype(float) ** 2)))


def test_shepp_logan_comes_back_from_its_exact_ray_integrals() -> None:
    """200 x 200 voxels from 120 angles, the beam as wide as the step; the ceiling of FBP here."""
    t = translations(200, 0.01)
    sinogram = ellipse_sinogram(SHEPP_LOGAN, t, HALF_TURN[120], beam_mm=0.01)
    image = reconstruct(make_plan(t, HALF_TURN[120], 0.0), sinogram[..., None])[..., 0]
    truth = ellipse_image(SHEPP_LOGAN, axis_mm(200, 0.01))
    inside = np.isfinite(image)
    error = np.sqrt(np.mean((image - truth)[inside] ** 2) / np.mean(truth[inside] ** 2))
    # Wang et al.'s window (Gaussian of 1.5 voxels); a flat one of 7 x 7 voxels reads 0.913
    likeness = structural_similarity(
        np.where(inside, image, 0.0),
        truth,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert error <= 0.095
    assert likeness >= 0.915


@settings(deadline=None, max_examples=12)
@given(x=st.floats(-12, 12), y=st.floats(-12, 12), shift=st.floats(-3, 3), turn=st.integers(0, 3))
@pytest.mark.parametrize("n", [48, 49])
def test_centroid_of_a_small_disc_stays_where_it_is(
    n: int, x: float, y: float, shift: float, turn: int
) -> None:
    """Even and odd sizes, axis off centre, scans over 180 (with and without end) and 360."""
    rotations = [
        HALF_TURN[90],
        np.linspace(0, np.pi, 91),
        np.arange(180) * np.pi / 90,
        -HALF_TURN[90][::-1] + 0.3,
    ][turn]
    step = 0.05
    t = translations(n, step)
    disc = [(1.0, 3 * step, 3 * step, x * step, y * step, 0.0)]
    sinogram = ellipse_sinogram(disc, t, rotations, axis_mm=shift * step, beam_mm=step)
    if np.hypot(x, y) + 3 + abs(shift) > (n - 1) / 2:
        return
    plan = make_plan(t, rotations, shift * step)
    image = np.nan_to_num(reconstruct(plan, sinogram[..., None])[..., 0].astype(float))
    grid = axis_mm(n, step)
    near = np.hypot(grid[None, :] - x * step, grid[:, None] - y * step) < 6 * step
    weight = image * near
    centroid = np.array([(weight * grid[None, :]).sum(), (weight * grid[:, None]).sum()])
    offset = centroid / weight.sum() / step - np.array([x, y])
    assert np.abs(offset).max() < 0.02  # the bound: 2 % of a voxel
    mass = image.sum() * step**2 / (np.pi * (3 * step) ** 2)
    assert mass == pytest.approx(1, abs=0.02)  # ramp filter on a finite window


@pytest.mark.parametrize("falling", [False, True])
def test_direction_of_the_motor_and_order_of_angles_do_not_matter(falling: bool) -> None:
    """Translations from high to low and shuffled rotations give the same image."""
    rng = np.random.default_rng(3)
    t = translations(40, 0.1, axis=2.0)
    sinogram = rng.standard_normal((40, 60, 1))
    image = reconstruct(make_plan(t, HALF_TURN[60], 2.0), sinogram)
    order = rng.permutation(60)
    flip = slice(None, None, -1 if falling else 1)
    other = reconstruct(make_plan(t[flip], HALF_TURN[60][order], 2.0), sinogram[flip][:, order])
    np.testing.assert_allclose(other, image, atol=2e-5)  # float32 sums in another order


@settings(deadline=None, max_examples=20)
@given(
    start=st.floats(-4, 4), n=st.integers(5, 40), kind=st.sampled_from(["open", "closed", "full"])
)
def test_angular_weights_cover_the_half_circle(start: float, n: int, kind: str) -> None:
    """Equal spacing gives equal weights, whatever the range; the end points of a closed scan
    are one direction and share it."""
    span = {"open": np.pi / n, "closed": np.pi / (n - 1), "full": 2 * np.pi / (2 * n)}[kind]
    count = 2 * n if kind == "full" else n
    weights = angular_weights_rad(start + span * np.arange(count))
    assert weights.sum() == pytest.approx(np.pi, rel=1e-12)
    if kind == "open":
        np.testing.assert_allclose(weights, np.pi / n, rtol=1e-9)  # rounding of mod
    if kind == "closed":
        np.testing.assert_allclose(weights[1:-1], span, rtol=1e-9)
        assert weights[0] + weights[-1] == pytest.approx(span, rel=1e-9)
    if kind == "full":
        pairs = weights[:n] + weights[n:]
        np.testing.assert_allclose(pairs, np.pi / n, rtol=1e-9)


def test_white_noise_grows_by_the_closed_forms() -> None:
    """0.382 with linear interpolation, 0.822 on the axis, 0.054 with Hann (sigma^2/N, step 1)."""
    n = 101
    # angles off the grid: none along a voxel row
    rotations = HALF_TURN[120] + 0.003
    ones = np.ones((n, 120, 1), np.float32)
    plan = make_plan(translations(n), rotations, 0.0)
    variance = reconstruct_variance(plan, ones)[..., 0] * 120
    assert variance[50, 50] == pytest.approx(np.pi**2 / 12, rel=0.01)  # kernel cut at 50 samples
    assert np.nanmean(variance) == pytest.approx(
        np.pi**2 * (2 / 36 - 1 / (6 * np.pi**2)), rel=0.02
    )  # law: 0.382; near-aligned angles interpolate less
    hann = replace(plan, filter_per_mm=filter_matrix_per_mm(n, 1.0, "hann"))
    smooth = np.nanmean(reconstruct_variance(hann, ones)) * 120
    assert smooth == pytest.approx(0.054, rel=0.02)


def test_variance_map_is_that_of_repeated_scans() -> None:
    """Uneven noise, 4000 draws at once as channels; every voxel within its sampling error."""
    rng = np.random.default_rng(4)
    n, draws = 24, 4000
    variance = rng.uniform(0.2, 3.0, (n, 60, 1)).astype(np.float32)
    noise = rng.standard_normal((n, 60, draws), dtype=np.float32) * np.sqrt(variance)
    plan = make_plan(translations(n, 0.1), HALF_TURN[60], 0.03)
    seen = reconstruct(plan, noise).var(axis=-1, dtype=float)
    stated = reconstruct_variance(plan, variance)[..., 0]
    ratio = (seen / stated)[np.isfinite(stated)]
    # a sample variance of 4000 scatters by sqrt(2/4000) = 2.2 %; 4.5 sigma over 400 voxels
    assert np.abs(ratio - 1).max() < 0.1
    assert ratio.mean() == pytest.approx(1, abs=0.005)


def test_reconstruction_is_linear_and_channels_do_not_mix() -> None:
    """A sum of sinograms reconstructs to the sum; batches change nothing."""
    rng = np.random.default_rng(5)
    sinogram = rng.standard_normal((32, 60, 5))
    plan = make_plan(translations(32), HALF_TURN[60], 0.0)
    image = reconstruct(plan, sinogram, batch=2)
    parts = reconstruct(plan, sinogram[..., :1]) * 2 - 3 * reconstruct(plan, sinogram[..., 4:])
    joint = reconstruct(plan, 2 * sinogram[..., :1] - 3 * sinogram[..., 4:])
    np.testing.assert_allclose(joint, parts, atol=1e-4)  # float32, sums of 60 terms
    np.testing.assert_allclose(image[..., :1], reconstruct(plan, sinogram[..., :1]), atol=1e-5)


def test_skimage_gives_the_same_image() -> None:
    """iradon's axis is at N//2, which an odd size shares; its first axis falls with y."""
    t = translations(65)
    sinogram = ellipse_sinogram([(1.0, 9.0, 5.0, 7.0, -11.0, 20.0)], t, HALF_TURN[90])
    with jax.enable_x64(True):
        own = reconstruct(make_plan(t, HALF_TURN[90], 0.0), sinogram[..., None])[..., 0]
    theirs = iradon(sinogram[::-1], theta=90 - np.rad2deg(HALF_TURN[90]), circle=True)[::-1]
    inside = np.isfinite(own) & (theirs != 0)
    # same kernel, same interpolation: float32 of the result, of values up to 1
    np.testing.assert_allclose(own[inside], theirs[inside], atol=1e-6)


@pytest.mark.peers
def test_astra_gives_the_same_image() -> None:
    """ASTRA's CPU FBP projects along u = x cos + y sin with y upward; its error is no smaller."""
    astra = pytest.importorskip("astra", reason="needs the extra `peers`")
    t = translations(128, 1.0)
    ellipses = [(v, 64 * a, 64 * b, 64 * x, 64 * y, p) for v, a, b, x, y, p in SHEPP_LOGAN]
    sinogram = ellipse_sinogram(ellipses, t, HALF_TURN[120], beam_mm=1.0)
    volume = astra.create_vol_geom(128, 128)
    angles = astra.create_proj_geom("parallel", 1.0, 128, np.pi / 2 - HALF_TURN[120])
    projector = astra.create_projector("linear", angles, volume)
    data = astra.data2d.create("-sino", angles, np.ascontiguousarray(sinogram[::-1].T))
    result = astra.data2d.create("-vol", volume)
    config = astra.astra_dict("FBP")
    config.update(ProjectorId=projector, ProjectionDataId=data, ReconstructionDataId=result)
    algorithm = astra.algorithm.create(config)
    astra.algorithm.run(algorithm)
    theirs = astra.data2d.get(result)[::-1]
    astra.clear()
    own = reconstruct(make_plan(t, HALF_TURN[120], 0.0), sinogram[..., None])[..., 0]
    truth = ellipse_image(ellipses, axis_mm(128, 1.0))
    inside = np.isfinite(own)
    own_error, their_error = (rms((image - truth)[inside]) for image in (own, theirs))
    assert own_error <= 1.05 * their_error
    apart = rms((own - theirs)[inside])
    assert apart < 0.5 * their_error  # both blur alike; their interpolation has other weights
    for axis in (0, 1):  # half a voxel of shift or a mirror image would show
        assert rms((own - np.roll(theirs, 1, axis))[inside]) > 4 * apart
        assert rms((own - np.flip(theirs, axis))[inside]) > 4 * apart


def test_dropped_rays_and_rotations_are_bridged() -> None:
    """A sinogram linear in translation is restored exactly; an empty rotation is left out."""
    t = translations(20)
    sinogram = (2.0 + 0.1 * t)[:, None, None] * np.ones((20, 4, 2))
    measured = np.ones((20, 4), bool)
    measured[7, 1] = measured[8, 1] = measured[0, 2] = False
    measured[:, 3] = False
    holes = np.where(measured[..., None], sinogram, np.nan)
    filled, noise, kept = fill_missing(holes, np.where(measured[..., None], 1.0, np.nan), measured)
    assert kept.tolist() == [True, True, True, False]
    np.testing.assert_allclose(filled[:, 1], sinogram[:, 1], rtol=1e-12)
    assert filled[0, 2, 0] == sinogram[1, 2, 0]  # at the edge: the nearest
    assert noise[7, 1, 0] == pytest.approx((2 / 3) ** 2 + (1 / 3) ** 2)
    plan = make_plan(t, np.arange(4) * 0.7, 0.0, kept=kept)
    assert plan.weight.sum() == pytest.approx(np.pi)
    assert np.isfinite(reconstruct(plan, filled)).sum() > 100


def test_a_voxel_some_projections_miss_is_nan() -> None:
    """Outside the circle that all rays sweep there is no number."""
    plan = make_plan(translations(30), HALF_TURN[60], 4.0)
    image = reconstruct(plan, np.ones((30, 60, 1)))[..., 0]
    x, y = np.meshgrid(axis_mm(30, 1.0), axis_mm(30, 1.0))
    np.testing.assert_array_equal(np.isfinite(image), np.hypot(x, y) <= 10.5)


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("ramlak", lambda f: 1.0 + 0 * f),
        ("hann", lambda f: 0.5 + 0.5 * np.cos(2 * np.pi * f)),
        ("hamming", lambda f: 0.54 + 0.46 * np.cos(2 * np.pi * f)),
        ("cosine", lambda f: np.cos(np.pi * f)),
        ("shepp-logan", np.sinc),
    ],
)
def test_filters_are_the_ramp_under_their_windows(name: str, window: object) -> None:
    """Fourier transform of the kernel against |f| times the textbook's window."""
    row = filter_matrix_per_mm(4001, 0.5, name)[2000]
    lag = np.arange(4001) - 2000
    for f in (0.02, 0.11, 0.25, 0.4, 0.48):  # cycles per sample
        found = np.sum(row * np.cos(2 * np.pi * f * lag)) * 0.5 * 1.0
        expected = f / 0.5 * window(np.array(f)) * 0.5  # type: ignore[operator]
        assert found == pytest.approx(expected, abs=2e-4)  # series cut at 2000 samples


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, 1.0, 3.0], [0.0], 1.0), "translations_mm: must be even"),
        (([0.0], [0.0], 1.0), "two different positions"),
        (([0.0, 1.0, 2.0], [], 1.0), "no rotation"),
        (([0.0, 1.0, 2.0], [0.0], 9.0), "rotation axis"),
    ],
)
def test_bad_scans_are_refused(arguments: tuple[list[float], ...], message: str) -> None:
    """Each message names what is wrong."""
    with pytest.raises(ValueError, match=message):
        make_plan(*arguments)  # type: ignore[misc]
    with pytest.raises(ValueError, match="filter = 'boxcar'"):
        filter_matrix_per_mm(4, 1.0, "boxcar")


@pytest.mark.slow
def test_speed_over_skimage_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """Same size and angles; the ratio is printed, and only an absurd one fails."""
    t = translations(200)
    sinogram = np.random.default_rng(0).standard_normal((200, 120, 256), dtype=np.float32)
    plan = make_plan(t, HALF_TURN[120], 0.0)
    reconstruct(plan, sinogram)
    begin = time.process_time()
    reconstruct(plan, sinogram)
    own = (time.process_time() - begin) / 256
    begin = time.process_time()
    iradon(sinogram[..., 0], theta=np.rad2deg(HALF_TURN[120]))
    theirs = time.process_time() - begin
    with capsys.disabled():
        print(  # noqa: T201
            f"\nFBP per channel: own {own * 1e3:.2f} ms, ratio to skimage {theirs / own:.0f}"
        )
    assert theirs / own > 5
