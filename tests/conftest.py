"""Settings that all tests share."""

from hypothesis import HealthCheck, settings

# The first example compiles; time limits per example would fail by chance.
settings.register_profile(
    "xrdct_sim", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50
)
settings.load_profile("xrdct_sim")
