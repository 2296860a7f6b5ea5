r"""Fibre texture: how the density of diffracting poles depends on direction.

Pole densities are in multiples of a random distribution (m.r.d.): their mean over the sphere is 1.
Left out: textures that are not axisymmetric about a local axis, and the shape of grains.

With :math:`F` the density of the fibre's own poles, expanded in even zonal functions,

.. math:: F(\cos\chi) = \sum_{l\ \mathrm{even}} a_l P_l(\cos\chi), \qquad a_0 = 1,

planes whose normals stand at :math:`\rho_j` from the fibre direction have the pole density
(addition theorem; :math:`\langle\cdot\rangle_j` over the symmetry equivalents)

.. math:: P_h(\cos\chi) = \sum_l a_l\,\langle P_l(\cos\rho_j)\rangle_j\,P_l(\cos\chi).
"""

import jax
import jax.numpy as jnp
import numpy as np

from xrdct_sim.physics.arrays import Array

MAX_DEGREE = 80
"""Single-precision harmonics are good to 1e-5 up to here."""


def march_dollase(cos_chi: Array, march_r: Array) -> jax.Array:
    r"""Pole density of the March-Dollase model.

    .. math:: F(\chi) = \left(r^2\cos^2\chi + \sin^2\chi / r\right)^{-3/2}

    Parameters
    ----------
    cos_chi
        Cosine of the angle between the pole and the fibre axis; any shape.
    march_r
        March parameter r > 0: 1 is random, below 1 the poles gather at the axis.

    Returns
    -------
        Pole density, m.r.d.; broadcast shape. Its mean over the sphere is exactly 1.

    References
    ----------
    W. A. Dollase, J. Appl. Cryst. 19 (1986) 267, eq. 4.
    """
    squared = jnp.square(cos_chi)
    inverse_root = jax.lax.rsqrt(march_r**2 * squared + (1 - squared) / march_r)
    return inverse_root**3


def legendre_even(cosine: Array, l_max: int) -> jax.Array:
    r"""Legendre polynomials of even degree, :math:`P_0, P_2, \dots, P_{l_{max}}`.

    .. math:: (l + 1) P_{l+1}(x) = (2l + 1)\,x P_l(x) - l P_{l-1}(x)

    Parameters
    ----------
    cosine
        Argument in [-1, 1]; any shape.
    l_max
        Highest degree, even.

    Returns
    -------
        Shape ``(*cosine.shape, l_max // 2 + 1)``.
    """
    x = jnp.asarray(cosine)
    previous, current = jnp.ones_like(x), x
    even = [previous]
    for degree in range(1, l_max):
        following = ((2 * degree + 1) * x * current - degree * previous) / (degree + 1)
        previous, current = current, following
        if degree % 2:
            even.append(current)
    return jnp.stack(even, axis=-1)


def zonal_coefficients(march_r: Array, l_max: int, n_nodes: int = 96) -> jax.Array:
    r"""Zonal coefficients of the March-Dollase pole density.

    .. math:: a_l = (2l + 1)\int_0^1 F(t)\,P_l(t)\,dt, \qquad l = 0, 2, \dots, l_{max}

    Parameters
    ----------
    march_r
        March parameter; any shape.
    l_max
        Highest degree, even.
    n_nodes
        Gauss-Legendre nodes on (0, 1): the error is below 1e-6 for r >= 0.3, l <= 40.

    Returns
    -------
        Shape ``(*march_r.shape, l_max // 2 + 1)``; ``a_0`` is 1 to the quadrature's error.
    """
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    t, w = (nodes + 1) / 2, weights / 2
    degrees = 2 * np.arange(l_max // 2 + 1) + 1 + 2 * np.arange(l_max // 2 + 1)
    with jax.ensure_compile_time_eval():
        kernel = np.asarray(legendre_even(t, l_max)) * w[:, None] * degrees
    density = march_dollase(t, jnp.asarray(march_r)[..., None])
    return density @ jnp.asarray(kernel, density.dtype)


def degree_for(march_r_min: float, march_r_max: float, tolerance: float) -> int:
    r"""Even degree beyond which the series of March-Dollase is below a tolerance.

    F is analytic inside the ellipse through :math:`t_s = (1 - r^3)^{-1/2}`, so that
    :math:`a_l \sim l\,(t_s + \sqrt{t_s^2 - 1})^{-l}`; relative to the peak :math:`r^{-3}`.

    Parameters
    ----------
    march_r_min, march_r_max
        Smallest and largest parameter to be represented, 0 < r; above 1 :math:`b = r^{-3}`
        stands for :math:`r^3` and the poles gather at the equator.
    tolerance
        Relative size of the first term left out.
    """
    b = min(march_r_min, 1 / march_r_max) ** 3
    pole = 1 / np.sqrt(max(1 - b, 1e-9))
    decay = pole + np.sqrt(max(pole**2 - 1, 0.0)) if b < 1 else np.inf
    degree = 2
    while degree * decay ** (-degree) > tolerance:
        degree += 2
        if degree > MAX_DEGREE:
            raise ValueError(
                f"texture: March parameters {march_r_min:.3g} to {march_r_max:.3g} need more than "
                f"{MAX_DEGREE} degrees at accuracy.texture_tolerance = {tolerance:g}"
            )
    return degree


def orders_for(l_max: int, tilt_rad: float, tolerance: float) -> int:
    r"""Orders m needed for axes within a tilt :math:`\alpha` of z.

    The first order left out is of size :math:`(l\alpha/2)^{m+1}/(m+1)!` (a Bessel function's
    leading term) relative to the degree's own.
    """
    term, order = l_max * tilt_rad / 2, 0
    size = term
    while size > tolerance and order < l_max:
        order += 1
        size *= term / (order + 1)
    return min(order + 1, l_max)


def harmonic_orders(l_max: int, m_max: int) -> np.ndarray:
    """Degree l of each function of :func:`direction_harmonics`, shape ``(n_harmonics,)``."""
    return np.array(
        [degree for degree in range(0, l_max + 1, 2) for _ in range(2 * min(degree, m_max) + 1)]
    )


def direction_harmonics(direction: Array, l_max: int, m_max: int) -> jax.Array:
    r"""Real Schmidt-normalised spherical harmonics of even degree.

    .. math:: \sum_m Y_{lm}(n)\,Y_{lm}(q) = P_l(n\cdot q)

    Parameters
    ----------
    direction
        Unit vectors, shape ``(..., 3)``.
    l_max, m_max
        Highest degree (even) and order. Orders above ``m_max`` are left out: exact where n or q
        lies on z, and good to :math:`(l\alpha/2)^{m+1}/(m+1)!` with n at the angle alpha from z.

    Returns
    -------
        Shape ``(..., n_harmonics)``, degrees as in :func:`harmonic_orders`, orders
        0, 1 cos, 1 sin, 2 cos, ... within each.
    """
    vector = jnp.asarray(direction)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    m_max = min(l_max, m_max)
    cosines, sines = [jnp.ones_like(z)], [jnp.zeros_like(z)]
    for _ in range(m_max):
        cosine, sine = cosines[-1], sines[-1]
        cosines.append(x * cosine - y * sine)
        sines.append(x * sine + y * cosine)
    zonal = _reduced_legendre(z, l_max, m_max)[::2]
    even, odd = zonal * jnp.stack(cosines, -1), zonal * jnp.stack(sines, -1)
    both = jnp.stack([even, odd], axis=-1)
    columns = [
        (degree // 2, order, part)
        for degree in range(0, l_max + 1, 2)
        for order in range(min(degree, m_max) + 1)
        for part in range(2 if order else 1)
    ]
    place, order, part = np.array(columns).T
    return jnp.moveaxis(both, 0, -3)[..., place, order, part]


def mean_over_rotations(
    harmonics: Array, rotations_rad: Array, l_max: int, m_max: int
) -> jax.Array:
    r"""Harmonics of directions turned about z, averaged over the angles of a scan.

    .. math:: \langle e^{im(\varphi + \omega)}\rangle = e^{im\varphi}\,\langle e^{im\omega}\rangle

    Parameters
    ----------
    harmonics
        Of directions at rotation 0, ``(..., n_harmonics)``.
    rotations_rad
        Angles, ``(n_rotations,)``.

    Returns
    -------
        Same shape.
    """
    parts = [
        (order, part)
        for degree in range(0, l_max + 1, 2)
        for order in range(min(degree, m_max) + 1)
        for part in range(2 if order else 1)
    ]
    orders, part = np.array(parts).T
    partner = np.arange(len(orders)) + np.where(orders == 0, 0, 1 - 2 * part)
    angle = orders * jnp.asarray(rotations_rad)[:, None]
    cosine, sine = jnp.cos(angle).mean(axis=0), jnp.sin(angle).mean(axis=0)
    sign = np.where(part == 0, -1.0, 1.0)
    values = jnp.asarray(harmonics)
    return values * cosine + values[..., partner] * (sine * sign)


def _reduced_legendre(z: jax.Array, l_max: int, m_max: int) -> jax.Array:
    r"""Schmidt functions :math:`S_{lm}/\sin^m\vartheta`, shape ``(l_max + 1, ..., m_max + 1)``.

    .. math:: \sqrt{l^2 - m^2}\,S_{lm} = (2l - 1)\,z\,S_{l-1,m} - \sqrt{(l-1)^2 - m^2}\,S_{l-2,m}
    """
    degree, order = np.arange(l_max + 1)[:, None], np.arange(m_max + 1)[None, :]
    ratio = np.sqrt((2 * order[0, 2:] - 1) / (2 * order[0, 2:]))
    sectoral = np.cumprod(np.concatenate([np.ones(min(2, m_max + 1)), ratio]))
    inside = degree > order
    scale = np.where(inside, np.sqrt(np.where(inside, degree**2 - order**2, 1)), 1)
    climb = np.where(inside, (2 * degree - 1) / scale, 0)
    fall = np.where(inside, np.sqrt(np.clip((degree - 1) ** 2 - order**2, 0, None)) / scale, 0)
    start = np.where(degree == order, sectoral, 0)

    def step(
        carry: tuple[jax.Array, jax.Array], row: tuple[jax.Array, ...]
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        before, current = carry
        first, second, own = row
        following = first * z[..., None] * current - second * before + own
        return (current, following), following

    empty = jnp.zeros((*z.shape, m_max + 1), z.dtype)
    rows = tuple(jnp.asarray(values, z.dtype) for values in (climb, fall, start))
    return jax.lax.scan(step, (empty, empty), rows)[1]


def scattering_direction(theta_rad: Array, eta_rad: Array) -> jax.Array:
    r"""Unit scattering vector in the laboratory.

    .. math:: q = (-\sin\theta,\ \cos\theta\sin\eta,\ \cos\theta\cos\eta)

    Parameters
    ----------
    theta_rad
        Bragg angle (half of 2 theta), rad.
    eta_rad
        Azimuth on the detector from z toward +y, rad; pyFAI's chi is 90 degrees + eta.

    Returns
    -------
        Shape ``(*broadcast, 3)``; x along the beam, z up.
    """
    theta, eta = jnp.broadcast_arrays(jnp.asarray(theta_rad), jnp.asarray(eta_rad))
    return jnp.stack(
        [-jnp.sin(theta), jnp.cos(theta) * jnp.sin(eta), jnp.cos(theta) * jnp.cos(eta)], axis=-1
    )


def rotate_about_z(vector: Array, angle_rad: Array) -> jax.Array:
    """Rotate vectors ``(..., 3)`` about +z, right-handed, by ``angle_rad`` (scalar or ``...``)."""
    v = jnp.asarray(vector)
    c, s = jnp.cos(angle_rad), jnp.sin(angle_rad)
    return jnp.stack(
        [c * v[..., 0] - s * v[..., 1], s * v[..., 0] + c * v[..., 1], v[..., 2]], axis=-1
    )
