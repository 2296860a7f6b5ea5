"""Scores a recovery against the truth and reports on it."""
