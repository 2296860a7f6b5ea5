"""What a law takes: an array of either library, traced or not, or a number."""

from typing import Any

import jax
from numpy.typing import NDArray

Array = jax.Array | NDArray[Any] | float
