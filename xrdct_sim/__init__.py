"""Simulate X-ray diffraction tomography on an absolute photon scale, recover it, score it."""

__version__ = "0.1.0"
