"""Ratios of exact Poisson sampling over numpy's Generator, per core: ``python bench_noise.py``."""

import time
from collections.abc import Callable

import numpy as np

from xrdct_sim.instrument.noise import poisson


def cpu_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the best CPU time of several runs, s."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print mean, samples per second and the ratio to numpy in the same run."""
    generator = np.random.default_rng(0)
    print("mean      million/s  numpy million/s  ratio")
    for value in (0.01, 0.1, 1.0, 5.0, 10.0, 20.0, 30.0, 100.0, 1000.0):
        mean = np.full(1 << 20, value, dtype=np.float32)
        poisson(mean[:256], 1, 0)  # compile
        own = cpu_seconds(lambda mean=mean: poisson(mean, 1, 0))
        other = cpu_seconds(lambda mean=mean: generator.poisson(mean))
        print(f"{value:8g} {1.05 / own:10.1f} {1.05 / other:12.1f} {other / own:12.1f}")


if __name__ == "__main__":
    main()
