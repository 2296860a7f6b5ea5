"""Beam, detector and scan as frozen values; detector response and noise."""
