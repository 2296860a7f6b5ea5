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
def _log_poisson_times_root(k, mean):  # type: ignore[no-untyped-def]
    r"""ln[P(k; mean) sqrt(2 pi k)], free of cancellation; for k = 0 just ln P."""
    if k < 16.0:
        log_p = k * math.log(mean) - mean - math.lgamma(k + 1.0)
        return log_p + 0.5 * math.log(2.0 * math.pi * k) if k > 0.0 else log_p
    s = 1.0 / (k * k)
    stirling = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / k
    return k * math.log1p((mean - k) / k) + (k - mean) - stirling


@_jit
def _accepts(k, v_scaled, mean):  # type: ignore[no-untyped-def]
    """Test ``v_scaled <= P(k; mean)``, the last step of PTRS."""
    root = math.sqrt(2.0 * math.pi * k) if k > 0.0 else 1.0
    return math.log(v_scaled * root) <= _log_poisson_times_root(k, mean)


@_jit
def _draw_again(mean, pixel, key0, key1, frame, purpose):  # type: ignore[no-untyped-def]
    """PTRS from the second attempt on, until accepted."""
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_sure = 0.9277 - 3.6224 / (b - 2.0)
    attempt = 1
    while True:
        x0, x1, x2, x3 = _philox(pixel, attempt, frame, purpose, key0, key1)
        u = _uniform(x0, x1) - 0.5
        v = _uniform(x2, x3)
        us = 0.5 - abs(u)
        if us > 0.0:
            k = np.floor((2.0 * a / us + b) * u + mean + 0.43)
            if us >= 0.07 and v <= v_sure:
                return k
            if (
                k >= 0.0
                and not (us < 0.013 and v > us)
                and _accepts(k, v * inverse_alpha / (a / (us * us) + b), mean)
            ):
                return k
        attempt += 1


@_jit
def _invert(mean, u, n, total, term, count):  # type: ignore[no-untyped-def]
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
def _reject(  # type: ignore[no-untyped-def]
    mean, u_all, v_all, n, count, ratio, verdict
):
    """First attempt of PTRS, all lanes in step; verdict 0 taken, 1 undecided, 2 refused."""
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
def _settle(  # type: ignore[no-untyped-def]
    mean, count, ratio, verdict, n, first_pixel, key0, key1, frame, purpose
):
    """Decide the undecided lanes; repeat the refused ones."""
    for i in range(n):
        if verdict[i] != 0 and (verdict[i] == 2 or not _accepts(count[i], ratio[i], mean[i])):
            count[i] = _draw_again(mean[i], first_pixel + i, key0, key1, frame, purpose)


@_jit
def _uniforms(  # type: ignore[no-untyped-def]
    u, v, n, first_pixel, key0, key1, frame, purpose
):
    """Two uniforms for the first attempt of each pixel."""
    for i in range(n):
        x0, x1, x2, x3 = _philox(first_pixel + i, 0, frame, purpose, key0, key1)
        u[i] = _uniform(x0, x1)
        v[i] = _uniform(x2, x3)


@_jit
def _draw(  # type: ignore[no-untyped-def]
    means, out, first_pixel, key0, key1, frame, purpose
):
    """Fill ``out``; return the index of the first mean that is no mean, or -1."""
    work = np.empty((7, _LANES))
    small, large, u, v, count, work0, work1 = (
        work[0],
        work[1],
        work[2],
        work[3],
        work[4],
        work[5],
        work[6],
    )
    verdict = np.empty(_LANES, np.int64)
    for start in range(0, means.size, _LANES):
        n = min(_LANES, means.size - start)
        pixel = first_pixel + start
        n_small = n_bad = 0
        for i in range(n):
            m = np.float64(means[start + i])
            n_bad += 0 if 0.0 <= m <= MAX_MEAN else 1
            n_small += 1 if m < _INVERSION_BELOW else 0
            small[i] = m if m < _INVERSION_BELOW else 0.0
            large[i] = m if m >= _INVERSION_BELOW else _INVERSION_BELOW
        if n_bad:
            for i in range(n):
                if not 0.0 <= means[start + i] <= MAX_MEAN:
                    return start + i
        _uniforms(u, v, n, pixel, key0, key1, frame, purpose)
        if n_small:
            _invert(small, u, n, work0, work1, count)
            for i in range(n):
                out[start + i] = np.uint32(count[i])
        if n_small < n:
            _reject(large, u, v, n, count, work0, verdict)
            for i in range(n):  # no work on lanes that inversion has served
                verdict[i] = verdict[i] if means[start + i] >= _INVERSION_BELOW else 0
            _settle(large, count, work0, verdict, n, pixel, key0, key1, frame, purpose)
            for i in range(n):
                if means[start + i] >= _INVERSION_BELOW:
                    out[start + i] = np.uint32(count[i])
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
