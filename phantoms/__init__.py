"""Phantoms, materials, structures and experiments: data only, each number with its source."""
