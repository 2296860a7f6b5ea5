"""Which effects a simulation contains: each can be switched off on its own."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Switches of the forward model; all on is the experiment, one off is a question."""

    absorption: bool = True  # transmission of the ray
    bragg: bool = True
    thermal_diffuse: bool = True
    compton: bool = True
    amorphous: bool = True
    polarisation: bool = True  # off: an unpolarised beam
    texture: bool = True  # off: every crystalline material is a powder
    footprint: bool = True  # off: an infinitely fine beam
    bandwidth: bool = True  # off: a monochromatic beam
    sample_parallax: bool = True  # off: all scattering comes from the rotation axis
    sensor_parallax: bool = True  # off: photons are absorbed where they enter the sensor
    solid_angle: bool = True  # off: every pixel subtends what one at normal incidence does
    efficiency: bool = True  # off: every photon is detected
    point_spread: bool = True
    beamstop: bool = True
    dark: bool = True
    noise: bool = True  # off: frames hold expected counts, which are not whole


def effect_names() -> tuple[str, ...]:
    """Names of all effects."""
    return tuple(f.name for f in fields(Effects))
