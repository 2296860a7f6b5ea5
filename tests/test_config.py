"""What the user asks for: layers, bounds, and complaints of one line that help."""

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrdct_sim.config.experiment import EXPERIMENT_KEYS, RunSettings
from xrdct_sim.config.layers import load_settings, nested, preset_names, settings_toml
from xrdct_sim.config.phantoms import load_phantom_spec, phantom_names

SPEC = """
family = "coin_cell"
doc = "a test"
[film.tilt_deg]
value = 0.8
min = 0.0
max = 5.0
unit = "deg"
[film.layer.count]
value = 3
min = 1
[film.axis]
value = [0.0, 0.0, 1.0]
[film.kind]
value = "flat"
choices = ["flat", "bent"]
[film.wet]
value = true
[experiment.scan]
n_dark = 25
n_rotations = 33
"""


@pytest.fixture
def phantom(tmp_path):
    path = tmp_path / "film.toml"
    path.write_text(SPEC)
    return str(path)


def run_file(tmp_path, text: str) -> str:
    path = tmp_path / "run.toml"
    path.write_text(f'[phantom]\nname = "film.toml"\n{text}')
    return str(path)


@pytest.mark.usefixtures("phantom")
def test_later_layers_win(tmp_path):
    """Defaults, the phantom's own experiment, preset, file, --set."""
    text = (
        "preset = 'quick'\n[phantom]\nname = 'film.toml'\n[scan]\nn_translations = 51\nstep_um = 9"
    )
    quick = tomllib.loads((files("xrdct_sim.phantoms") / "experiments/quick.toml").read_text())
    path = tmp_path / "run.toml"
    path.write_text(text)
    run = load_settings(str(path), overrides=["scan.step_um=7", "film.tilt_deg=2"])
    assert run.scan.range_deg == 180  # default
    assert run.scan.n_dark == 25  # the phantom's
    assert run.scan.n_rotations == quick["scan"]["n_rotations"]  # quick, over the phantom's 33
    assert run.detector.binning == quick["detector"]["binning"]
    assert run.scan.n_translations == 51  # the file's, over quick's
    assert run.scan.step_um == 7  # --set, over the file's 9
    assert run.phantom.parameters["film.tilt_deg"] == 2
    assert run.phantom.parameters["film.layer.count"] == 3
    assert load_settings(str(path), preset="paper").scan.n_rotations == 120
    assert load_settings(str(path), preset="paper").preset == "paper"


@settings(deadline=None, max_examples=20)
@given(
    tilt=st.floats(0, 5),
    exposure=st.floats(1e-6, 1e4),
    seed=st.integers(0, 2**63 - 1),
    preset=st.sampled_from(["", *preset_names()]),
    switch=st.booleans(),
)
def test_the_resolved_file_gives_the_same_run(
    tmp_path_factory, tilt, exposure, seed, preset, switch
):
    overrides = [
        f"film.tilt_deg={tilt!r}",
        f"scan.exposure_s={exposure!r}",
        f"seed={seed}",
        f"effects.absorption={str(switch).lower()}",
        "detector.poni1_mm=1.5",
        "detector.poni2_mm=-2.5",
        "recover.rings.LiCoO2_003.q_per_A=[1.2, 1.4]",
        "recover.rings.LiCoO2_003.hkl=[0, 0, 3]",
    ]
    run = load_settings("coin_cell", preset, overrides)
    path = tmp_path_factory.mktemp("run") / "config.toml"
    path.write_text(settings_toml(run), encoding="utf-8")
    assert load_settings(str(path)) == run
    assert tomllib.loads(path.read_text(encoding="utf-8"))["schema"] == 1


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("film.tilt_deg=9", "--set: film.tilt_deg = 9: allowed is a number from 0 to 5 deg"),
        ("film.tilt_deg=nan", "--set: film.tilt_deg = nan: allowed is a number from 0 to 5 deg"),
        ("film.tilt_deg=x", "--set: film.tilt_deg = 'x': allowed is a number from 0 to 5 deg"),
        ("film.tilt_deg=true", "--set: film.tilt_deg = True: allowed is a number from 0 to 5 deg"),
        ("film.layer.count=0", "film.layer.count = 0: allowed is a whole number from 1"),
        ("film.layer.count=1.5", "film.layer.count = 1.5: allowed is a whole number from 1"),
        ("film.axis=[1, 0]", "film.axis = [1, 0]: allowed is 3 numbers"),
        ("film.kind=round", "film.kind = 'round': allowed is one of flat, bent"),
        ("film.wet=1", "film.wet = 1: allowed is true or false"),
        ("film.tilt_dag=1", "film.tilt_dag: phantom {} has no such key; did you mean"),
        ("film=1", "film: phantom {} has no such key (a group, not a parameter)"),
        ("scan.n_rotations=1", "--set: scan.n_rotations = 1: allowed is 2 to 10000"),
        ("scan.n_rotations=4.5", "scan.n_rotations = 4.5: allowed is a valid integer, 2 to 10000"),
        ("scan.ordr=1", "--set: scan.ordr: no such key; did you mean 'order'?"),
        ("scan.order=zig", "scan.order = 'zig': allowed is 'translation_fast', 'rotation_fast'"),
        ("scan.slice_heights_um=[1, 0]", "[1, 0]: allowed is a strictly rising list"),
        ("scan.slice_heights_um=[]", "scan.slice_heights_um = []: allowed is "),
        ("effects.absorbtion=true", "effects.absorbtion: no such key; did you mean 'absorption'?"),
        ("accuracy.texture_rings=-1", "accuracy.texture_rings = -1: allowed is above 0"),
        ("beam.energy_keV=inf", "beam.energy_keV = inf: allowed is a finite number, 10 to 200"),
        ("beam=3", "--set: beam = 3: allowed is a"),
        ("scan=3", "--set: scan = 3: allowed is a table of settings"),
        ("detector.poni1_mm=3", "poni1_mm = 3.0, poni2_mm = None: allowed is both or none"),
        ("recover.q_max_per_A=0.1", "--set: recover.q_max_per_A = 0.1: allowed is above q_min"),
        ("recover.rings.a.q_per_A=[3, 2]", "allowed is [low, high] with 0 < low < high < 60"),
        ("recover.rings.a.q=[3, 2]", "recover.rings.a.q: no such key"),
        ("seed=-1", "--set: seed = -1: allowed is 0 to 9.22337e+18"),
        ("nonsense", "--set nonsense: allowed is key=value, such as scan.exposure_s=0.5"),
        ("=3", "--set =3: allowed is key=value"),
    ],
)
def test_a_bad_value_is_a_complaint_of_one_line(phantom, tmp_path, override, complaint):
    with pytest.raises(ValueError, match=r".") as caught:
        load_settings(run_file(tmp_path, ""), overrides=[override])
    assert complaint.format(phantom) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[phantom.parameters]\nfilm.tilt_deg = 9", "run.toml: film.tilt_deg = 9: allowed is"),
        (
            "[beam]\nenergy_kev = 70",
            "run.toml: beam.energy_kev: no such key; did you mean 'energy_",
        ),
        ("[recover.rings.a]\nbackground_per_A = []", "run.toml: recover.rings.a.q_per_A: missing"),
        ("[scan]\nstep_um = 0", "run.toml: scan.step_um = 0: allowed is 0.1 to 2000"),
        (
            "[recover.rings.a]\nq_A = 1",
            "run.toml: recover.rings.a.q_A: no such key; did you mean 'q_per_A'?",
        ),
        ("[beem]\nenergy_keV = 70", "run.toml: beem: no such key; did you mean 'beam'?"),
        ("scan = [1", "run.toml: not a TOML file"),
    ],
)
@pytest.mark.usefixtures("phantom")
def test_a_bad_file_is_a_complaint_that_names_it(tmp_path, text, complaint):
    with pytest.raises(ValueError, match=r".") as caught:
        load_settings(run_file(tmp_path, text))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("coin_sell",), "phantom = 'coin_sell': no such phantom; did you mean 'coin_cell'?"),
        (("coin_cell", "quik"), "preset = 'quik': no such preset; did you mean 'quick'?"),
        (("none.toml",), "none.toml: no such file"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest(arguments, complaint):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load_settings(*arguments)
    assert complaint in str(caught.value)


def test_files_named_in_a_file_are_found_beside_it(phantom, tmp_path):
    run = load_settings(run_file(tmp_path, "[detector]\nponi = 'geometry.poni'"))
    assert run.detector.poni == str(tmp_path / "geometry.poni")
    assert run.phantom.name == phantom


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("[a.b]\nvalue = 3.0\nmax = 2.0", "film.toml: a.b = 3.0: allowed is a number up to 2"),
        ("[a.b]\nvalue = 3.0\nmaximum = 2.0", "a.b.maximum: unknown; did you mean 'max'?"),
    ],
)
def test_a_phantom_file_that_contradicts_itself_is_an_error(phantom, line, complaint):
    with open(phantom, "a", encoding="utf-8") as file:
        file.write(line)
    with pytest.raises(ValueError, match=r".") as caught:
        load_phantom_spec(phantom)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("name", phantom_names())
def test_each_parameter_of_a_phantom_has_bounds_unit_meaning_and_source(name):
    spec = load_phantom_spec(name)
    assert spec.parameters
    assert spec.doc
    assert not EXPERIMENT_KEYS & {key.split(".")[0] for key in spec.parameters}
    for parameter in spec.parameters.values():
        assert parameter.doc, parameter.name
        assert parameter.source, parameter.name
        if isinstance(parameter.value, float):
            assert parameter.low is not None, parameter.name
            assert parameter.high is not None, parameter.name
            assert parameter.unit, parameter.name


@pytest.mark.parametrize("name", preset_names())
def test_each_preset_is_a_valid_experiment_of_known_keys(name):
    run = load_settings("coin_cell", name)
    table = tomllib.loads((files("xrdct_sim.phantoms") / f"experiments/{name}.toml").read_text())
    given = run.model_dump(mode="json")

    def check(wanted, held):
        for key, value in wanted.items():
            if isinstance(value, dict):
                check(value, held[key])
            else:
                assert held[key] == value

    assert table
    check(table, given)


def test_the_paper_preset_is_the_papers_experiment():
    """Jensen et al. (2015): 200 translations, 120 rotations, 50 um, 69.95 keV."""
    run = load_settings("coin_cell", "paper")
    assert (run.scan.n_translations, run.scan.n_rotations, run.scan.step_um) == (200, 120, 50)
    assert (run.beam.energy_keV, run.beam.bandwidth_eV_fwhm) == (69.95, 300)
    assert (run.detector.name, run.detector.binning) == ("Perkin", 1)


def test_each_setting_says_what_it_means_and_each_number_has_bounds():
    for section in (
        RunSettings.model_fields[key].annotation for key in ("beam", "scan", "detector")
    ):
        for name, setting in section.model_fields.items():
            assert setting.description, name
            kinds = {type(bound).__name__ for bound in setting.metadata}
            if isinstance(setting.default, int | float) and not isinstance(setting.default, bool):
                assert {"Ge", "Le"} <= kinds, name


def test_dotted_names_nest_to_tables():
    assert nested({"a.b.c": 1, "a.d": 2, "e": 3}) == {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
