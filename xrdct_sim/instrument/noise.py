r"""Photon counting noise: exact Poisson draws that are a pure function of where they are used.

A draw depends on (seed, frame, purpose, pixel, mean) and on nothing else, so any order, chunking or
number of threads gives the same bits. Left out: noise of an integrating detector.

Random bits come from the counter-based generator Philox4x32-10 [1]_: key = seed, counter = (pixel,
attempt, frame, purpose), 128 bits for each attempt of each pixel. Means below 24 are drawn by
inversion of the cumulative distribution in double precision, larger ones by Hörmann's transformed
rejection PTRS [2]_. Both are exact but for the rounding of doubles (1e-15 of probability).

References
----------
.. [1] J. K. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, Proc. SC11 (2011).
.. [2] W. Hörmann, The transformed rejection method for generating Poisson random variables,
   Insurance: Mathematics and Economics 12, 39-45 (1993).
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

MAX_MEAN = 2.0**31
"""Largest mean whose draws fit 32 bits without a doubt."""

_INVERSION_BELOW = 24.0
_LANES = 128  # pixels that go through each stage together, so that the compiler vectorises it
_MAX_TERMS = 160  # of the cumulative sum; P(count > 160 | mean 24) < 1e-70
_EXP_TABLE = np.exp(-np.arange(_INVERSION_BELOW + 1.0))
_LN_2 = math.log(2.0)
_RECIPROCAL = 1.0 / np.maximum(np.arange(_MAX_TERMS + 1.0), 1.0)

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")
_inline = numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")


@_inline
def _philox(  # type: ignore[no-untyped-def]
    c0, c1, c2, c3, k0, k1
):
    """Ten rounds of Philox4x32 on one counter."""
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    x0, x1, x2, x3 = (
        np.uint64(c0) & low,
        np.uint64(c1) & low,
        np.uint64(c2) & low,
        np.uint64(c3) & low,
    )
    key0, key1 = np.uint64(k0) & low, np.uint64(k1) & low
    for _ in range(10):
        product0 = np.uint64(0xD2511F53) * x0
        product1 = np.uint64(0xCD9E8D57) * x2
        x0 = (product1 >> half) ^ x1 ^ key0
        x1 = product1 & low
        x2 = (product0 >> half) ^ x3 ^ key1
        x3 = product0 & low
        key0 = (key0 + np.uint64(0x9E3779B9)) & low
        key1 = (key1 + np.uint64(0xBB67AE85)) & low
    return x0, x1, x2, x3


@_inline
def _uniform(high, low):  # type: ignore[no-untyped-def]
    """53 bits as a double in (0, 1]; 1 only by rounding, once in 2^53."""
    upper = np.float64(np.int32(high >> np.uint64(5)))
    lower = np.float64(np.int32(low >> np.uint64(6)))
    return (upper * 67108864.0 + lower + 0.5) * 2.0**-53


@_jit
def _logs(x, n, scratch, log_x):  # type: ignore[no-untyped-def]
    r"""Natural logarithms of positive doubles to 2e-16, all lanes in step.

    .. math:: x = 2^e m, \quad \ln x = e \ln 2 + 2 \operatorname{artanh}\frac{m - 1}{m + 1}
    """
    bits = scratch.view(np.int64)
    for i in range(n):
        scratch[i] = x[i]
    for i in range(n):
        shifted = bits[i] - 0x3FE6A09E667F3BCD  # of sqrt(1/2), so that sqrt(1/2) <= m < sqrt(2)
        exponent = shifted >> 52
        bits[i] -= exponent << 52
        log_x[i] = np.float64(np.int32(exponent))
    for i in range(n):
        f = scratch[i] - 1.0
        s = f / (2.0 + f)
        z = s * s
        series = 1.0 / 21.0
        for odd in (19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0):
            series = series * z + 1.0 / odd
        log_x[i] = log_x[i] * _LN_2 + (2.0 * s + 2.0 * s * z * series)


@_jit
def _accept(  # type: ignore[no-untyped-def]
    mean, count, ratio, n, scratch, logs, accepted
):
    r"""Test ``ratio <= P(count; mean)`` with Stirling's series, all lanes in step.

    .. math:: \ln P(k; m) = k \ln\frac{m}{k} + k - m - \tfrac12 \ln 2\pi k - \frac{1}{12 k} + \dots

    Below k = 16, where the series ends, by the logarithm of the gamma function.
    """
    for i in range(n):
        k = max(count[i], 1.0)
        ratio[i] *= math.sqrt(2.0 * math.pi * k)
        x = (mean[i] - k) / k
        scratch[i] = 1.0 + x
        # ln(1 + x) = ln(y) x / (y - 1) with y = 1 + x rounded: no digit is lost
        accepted[i] = k * (x / (scratch[i] - 1.0) if scratch[i] != 1.0 else 1.0)
    _logs(scratch, n, scratch, logs)
    for i in range(n):
        k = max(count[i], 1.0)
        s = 1.0 / (k * k)
        stirling = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / k
        accepted[i] = accepted[i] * logs[i] + (k - mean[i]) - stirling
    _logs(ratio, n, scratch, logs)
    for i in range(n):
        accepted[i] = 1.0 if logs[i] <= accepted[i] else 0.0
    for i in range(n):
        k = count[i]
        if k < 16.0:
            log_ratio = logs[i] - 0.5 * math.log(2.0 * math.pi * max(k, 1.0))
            log_p = k * math.log(mean[i]) - mean[i] - math.lgamma(k + 1.0)
            accepted[i] = 1.0 if log_ratio <= log_p else 0.0


@_jit
def _uniforms(  # type: ignore[no-untyped-def]
    pixel, n, attempt, key0, key1, frame, purpose, u, v
):
    """Two uniforms for an attempt of each lane."""
    for i in range(n):
        x0, x1, x2, x3 = _philox(pixel[i], attempt, frame, purpose, key0, key1)
        u[i] = _uniform(x0, x1)
        v[i] = _uniform(x2, x3)


@_jit
def _invert(  # type: ignore[no-untyped-def]
    mean, u, n, total, term, count
):
    r"""Count the k with :math:`u > \sum_{j \le k} e^{-m} m^j / j!`, all lanes in step."""
    for i in range(n):
        m = mean[i]
        whole = np.int32(m + 0.5)
        f = whole - m
        e = 1.0 + f / 15.0 * (1.0 + f / 16.0)
        for d in (14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0):
            e = 1.0 + f * (1.0 / d) * e
        term[i] = e * _EXP_TABLE[whole]
        total[i] = term[i]
        count[i] = 0.0
    for k in range(1, _MAX_TERMS):
        reciprocal = _RECIPROCAL[k]
        open_lanes = 0
        for i in range(n):
            above = u[i] > total[i] and term[i] > 1e-18
            count[i] += 1.0 if above else 0.0
            open_lanes += 1 if above else 0
            term[i] *= mean[i] * reciprocal
            total[i] += term[i]
        if open_lanes == 0:
            break


@_jit
def _propose(  # type: ignore[no-untyped-def]
    mean, u_all, v_all, n, count, ratio, verdict
):
    """Candidates of PTRS, all lanes in step; verdict 0 taken, 1 undecided, 2 refused."""
    for i in range(n):
        b = 0.931 + 2.53 * math.sqrt(mean[i])
        a = -0.059 + 0.02483 * b
        u = u_all[i] - 0.5
        v = v_all[i]
        us = max(0.5 - abs(u), 1e-17)
        k = np.floor((2.0 * a / us + b) * u + mean[i] + 0.43)
        v_sure = 0.9277 - 3.6224 / (b - 2.0)
        count[i] = k
        ratio[i] = v * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b)
        refused = k < 0.0 or (us < 0.013 and v > us)
        verdict[i] = 0 if (us >= 0.07 and v <= v_sure) else (2 if refused else 1)


@_jit
def _reject(  # type: ignore[no-untyped-def]
    mean, pixel, n, key0, key1, frame, purpose, work, verdict, out
):
    """Propose and test until each lane has a count; ``out`` is indexed by ``pixel - pixel[0]``."""
    first = pixel[0]
    u, v, count, ratio = work[0], work[1], work[2], work[3]
    some_mean, some_count, some_ratio = work[4], work[5], work[6]
    lane = np.empty(n, np.int64)
    attempt = 0
    while n > 0:
        _uniforms(pixel, n, attempt, key0, key1, frame, purpose, u, v)
        _propose(mean, u, v, n, count, ratio, verdict)
        undecided = 0
        for i in range(n):  # without branches, which would be guessed wrong
            lane[undecided] = i
            some_mean[undecided] = mean[i]
            some_count[undecided] = count[i]
            some_ratio[undecided] = ratio[i]
            undecided += verdict[i] == 1
        _accept(some_mean, some_count, some_ratio, undecided, u, v, work[7])
        for j in range(undecided):
            verdict[lane[j]] = 0 if work[7, j] == 1.0 else 2
        left = 0
        for i in range(n):
            out[pixel[i] - first] = np.uint32(max(count[i], 0.0))  # of a refused lane: till later
            pixel[left] = pixel[i]
            mean[left] = mean[i]
            left += verdict[i] == 2
        n = left
        attempt += 1


@_jit
def _draw(  # type: ignore[no-untyped-def]
    means, out, first_pixel, key0, key1, frame, purpose
):
    """Fill ``out``; return the index of the first mean that is no mean, or -1."""
    small, large = np.empty(_LANES), np.empty(_LANES)
    small_pixel, large_pixel = np.empty(_LANES, np.int64), np.empty(_LANES, np.int64)
    work = np.empty((8, _LANES))
    verdict = np.empty(_LANES, np.int64)
    for start in range(0, means.size, _LANES):
        n_small = n_large = 0
        for i in range(start, min(start + _LANES, means.size)):
            m = np.float64(means[i])
            if not 0.0 <= m <= MAX_MEAN:
                return i
            if m < _INVERSION_BELOW:
                small[n_small] = m
                small_pixel[n_small] = first_pixel + i
                n_small += 1
            else:
                large[n_large] = m
                large_pixel[n_large] = first_pixel + i
                n_large += 1
        if n_small:
            _uniforms(small_pixel, n_small, 0, key0, key1, frame, purpose, work[0], work[1])
            _invert(small, work[0], n_small, work[2], work[3], work[4])
            for i in range(n_small):
                out[small_pixel[i] - first_pixel] = np.uint32(work[4, i])
        if n_large:
            below = out[large_pixel[0] - first_pixel :]
            _reject(large, large_pixel, n_large, key0, key1, frame, purpose, work, verdict, below)
    return -1


def poisson(
    mean: NDArray[np.float32], seed: int, frame: int, purpose: int = 0, first_pixel: int = 0
) -> NDArray[np.uint32]:
    r"""Photon counts with the given expectations.

    .. math:: P(k) = e^{-m} m^k / k!, \qquad k = f(\mathrm{seed, frame, purpose, pixel}, m)

    Parameters
    ----------
    mean
        Expected counts of each pixel, 0 to 2³¹; any shape.
    seed
        Of the whole experiment, 0 to 2⁶⁴ - 1.
    frame
        Index of the frame, 0 to 2³² - 1.
    purpose
        What the draw is for (0 to 2³² - 1), so that dark and exposure are independent.
    first_pixel
        Index of ``mean``'s first element in its frame: a block of a frame has the same counts as
        the same pixels of the whole.

    Returns
    -------
        Counts; shape of ``mean``.
    """
    for name, value, bits in (("seed", seed, 64), ("frame", frame, 32), ("purpose", purpose, 32)):
        if not 0 <= value < 2**bits:
            raise ValueError(f"{name} = {value}: allowed 0 to 2^{bits} - 1")
    flat = np.ascontiguousarray(mean).reshape(-1)
    if first_pixel < 0 or first_pixel + flat.size > 2**32:
        raise ValueError(f"first_pixel = {first_pixel}: allowed 0 to 2^32 - {flat.size}")
    counts = np.empty(flat.size, dtype=np.uint32)
    wrong = _draw(flat, counts, first_pixel, seed & 0xFFFFFFFF, seed >> 32, frame, purpose)
    if wrong >= 0:
        raise ValueError(
            f"mean = {flat[wrong]} counts in pixel {first_pixel + wrong} of frame {frame}: "
            f"allowed 0 to {MAX_MEAN:.0f}"
        )
    return counts.reshape(np.shape(mean))
