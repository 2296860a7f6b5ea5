"""Sphinx: ``sphinx-build -W docs docs/_build`` with the extra ``docs``."""

project = "xrdct_sim"
author = "The xrdct_sim developers"
extensions = ["myst_nb"]
nb_execution_mode = "off"
myst_heading_anchors = 3
html_theme = "pydata_sphinx_theme"
exclude_patterns = ["_build"]
