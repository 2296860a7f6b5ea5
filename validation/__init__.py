"""Validation cases (claim, setting, metric, accepted band, reason): data only."""
