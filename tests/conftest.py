"""Settings that all tests share."""

import pytest
from hypothesis import HealthCheck, settings
from tiny_run import done, with_sets

# The first example compiles; time limits per example would fail by chance.
settings.register_profile(
    "xrdct_sim", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50
)
settings.load_profile("xrdct_sim")


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return the folder of a tiny run in one go; no test changes it."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done("run", "coin_cell", *with_sets(), "-o", folder)
    return folder


@pytest.fixture(scope="session")
def framed(tmp_path_factory):
    """Return the folder of a tiny run with frames on disk, scored; no test changes it."""
    folder = tmp_path_factory.mktemp("framed") / "run"
    done("simulate", "coin_cell", *with_sets(), "--frames", "-o", folder)
    done("recover", folder)
    done("score", folder)
    return folder
