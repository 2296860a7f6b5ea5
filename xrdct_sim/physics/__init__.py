"""Laws of scattering, absorption and texture: pure functions of arrays."""
