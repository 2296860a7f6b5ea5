"""Physical constants (CODATA 2018) in the package's units: keV, Å, s."""

HC_KEV_A = 12.398419843320026
"""Planck constant times the speed of light, keV Å (exact)."""

ELECTRON_RADIUS_A = 2.8179403262e-5
"""Classical electron radius r_e, Å."""

ELECTRON_REST_KEV = 510.99895
"""Electron rest energy m c², keV."""

AVOGADRO_PER_MOL = 6.02214076e23
"""Avogadro constant, 1/mol (exact)."""

PER_A_IN_PER_MM = 1e7
"""Multiply 1/Å by this to get 1/mm."""
