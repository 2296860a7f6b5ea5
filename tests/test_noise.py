"""Counting noise: exactly Poisson, and the same bits whatever the order of the work."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xrdct_sim.instrument import noise
from xrdct_sim.instrument.noise import poisson

MEANS = (0.01, 1.0, 8.0, 12.0, 15.9, 17.0, 23.9, 24.1, 100.0, 1000.0)


def chi_square_p(mean: float, seed: int, n_samples: int) -> float:
    """Probability of a chi-square as large as that of the draws against the exact pmf."""
    block = 1 << 21
    value = np.float32(mean)
    last = int(stats.poisson.isf(1e-12, float(value))) + 2
    seen = np.zeros(last + 1)
    for frame, start in enumerate(range(0, n_samples, block)):
        counts = poisson(np.full(min(block, n_samples - start), value), seed=seed, frame=frame)
        seen += np.bincount(np.minimum(counts, last), minlength=last + 1)
    expected = n_samples * stats.poisson.pmf(np.arange(last + 1), float(value))
    expected[-1] = n_samples * stats.poisson.sf(last - 1, float(value))
    # Pool both tails until every class expects 20 counts, as the chi-square law requires.
    inner = np.flatnonzero(expected >= 20)
    edges = [0, *range(inner[0] + 1, inner[-1] + 1)]
    seen, expected = np.add.reduceat(seen, edges), np.add.reduceat(expected, edges)
    chi_square = ((seen - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(chi_square, len(seen) - 1))


@pytest.mark.parametrize(("seed", "mean"), list(enumerate(MEANS)))
def test_counts_follow_the_exact_poisson_law(seed, mean):
    assert chi_square_p(mean, seed=1000 + seed, n_samples=2_000_000) > 1e-4  # one in 1000 runs


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "mean"), list(enumerate(MEANS)))
def test_a_hundred_million_counts_follow_the_exact_poisson_law(seed, mean):
    assert chi_square_p(mean, seed=2000 + seed, n_samples=100_000_000) > 1e-4


@pytest.mark.parametrize("mean", [3e6, 1e9, 2.0**31])
def test_very_large_means_have_poisson_mean_variance_and_skew(mean):
    counts = poisson(np.full(1_000_000, mean, dtype=np.float32), seed=5, frame=0).astype(float)
    exact = float(np.float32(mean))
    z = (counts - exact) / np.sqrt(exact)
    n = len(z)
    assert abs(z.mean()) < 5 / np.sqrt(n)  # five standard errors of the mean
    assert abs(z.var() - 1) < 5 * np.sqrt(2 / n)  # of the variance
    assert abs(stats.skew(z) - exact**-0.5) < 5 * np.sqrt(6 / n)  # of the skew
    assert stats.kstest(z + 0.5 * exact**-0.5, "norm").pvalue > 1e-5


def test_the_generator_is_philox_4x32_10():
    """Known answers of the Random123 library, kat_vectors."""
    ones = 0xFFFFFFFF
    pi = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)
    answers = {
        (0, 0, 0, 0, 0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        (ones,) * 6: (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        pi: (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    }
    for words, answer in answers.items():
        assert tuple(int(word) for word in noise._philox(*words)) == answer


def test_the_vectorised_logarithm_is_the_logarithm():
    x = np.concatenate([np.geomspace(1e-300, 1e300, 9999), 1 + np.linspace(-0.5, 1, 9999)])
    logs = np.empty_like(x)
    noise._logs(x, len(x), np.empty_like(x), logs)
    np.testing.assert_allclose(logs, np.log(x), rtol=4e-16, atol=2e-17)  # two roundings


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(1, 9_999), max_size=6), seed=st.integers(0, 2**64 - 1))
def test_any_chunks_and_threads_give_the_same_counts(cuts, seed):
    mean = np.geomspace(1e-3, 1e4, 10_000, dtype=np.float32)[::-1].copy()
    np.random.default_rng(1).shuffle(mean)
    edges = sorted({0, 10_000, *cuts})
    whole = poisson(mean, seed=seed, frame=3)
    with ThreadPoolExecutor(3) as pool:
        parts = pool.map(
            lambda i: poisson(mean[edges[i] : edges[i + 1]], seed, 3, first_pixel=edges[i]),
            reversed(range(len(edges) - 1)),
        )
        np.testing.assert_array_equal(np.concatenate(list(parts)[::-1]), whole)


@pytest.mark.parametrize("other", [{"frame": 1}, {"purpose": 1}, {"seed": 8}, {"seed": 7 + 2**32}])
@pytest.mark.parametrize("mean", [0.5, 10.0, 200.0])
def test_frames_purposes_and_seeds_are_independent(mean, other):
    n = 500_000
    expected = np.full(n, mean, dtype=np.float32)
    one = poisson(expected, **{"seed": 7, "frame": 0, "purpose": 0})
    two = poisson(expected, **{"seed": 7, "frame": 0, "purpose": 0, **other})
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / np.sqrt(n)  # five standard errors
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 5 / np.sqrt(n)


def test_counts_keep_the_shape_and_zero_means_no_counts():
    counts = poisson(np.zeros((3, 5), dtype=np.float32), seed=1, frame=0)
    assert counts.shape == (3, 5)
    assert counts.dtype == np.uint32
    assert not counts.any()


@pytest.mark.parametrize("bad", [np.nan, -1e-3, np.inf, 3e9])
def test_a_mean_that_is_no_mean_is_an_error_that_names_the_pixel(bad):
    mean = np.ones((4, 100), dtype=np.float32)
    mean[2, 7] = bad
    with pytest.raises(ValueError, match=r"pixel 207 of frame 4: allowed 0 to"):
        poisson(mean, seed=1, frame=4)


@pytest.mark.parametrize("key", ["seed", "frame", "purpose", "first_pixel"])
def test_a_negative_key_is_an_error_that_names_it(key):
    with pytest.raises(ValueError, match=f"{key} = -1: allowed 0 to"):
        poisson(np.ones(3, dtype=np.float32), **{"seed": 1, "frame": 1, key: -1})
