"""What a law takes: an array of either library, traced or not, or a number."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Array = jax.Array | NDArray[Any] | float


def library_of(*values: Array) -> Any:
    """The library that a law computes with: JAX if any value is its own, otherwise NumPy.

    So one law serves the tables (double precision) and the compiled model (traced).
    """
    return jnp if any(isinstance(value, jax.Array) for value in values) else np
