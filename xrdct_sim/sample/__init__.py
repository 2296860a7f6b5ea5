"""Shapes, cell families, phantoms and their exact truth."""
