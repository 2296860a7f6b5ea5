"""What users get wrong: one line that names file, key, value and range, exit code 2, no debris."""

import shutil

import numpy as np
import pytest
from tiny_run import call, names, refused, settings, with_sets

from xrdct_sim import workflow
from xrdct_sim.instrument.geometry import write_poni
from xrdct_sim.physics.material_files import load_material
from xrdct_sim.workflow import steps


def refused_run(folder, *overrides):
    """Return the complaint about a run, which must leave nothing behind."""
    complaint = refused("run", "coin_cell", *with_sets(*overrides), "-o", folder / "run")
    assert names(folder) <= {"given"}
    return complaint


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        (
            "film.tilt_degrees=1",
            "--set: film.tilt_degrees: phantom coin_cell has no such key; "
            "did you mean 'film.tilt_deg'?",
        ),
        ("film=1", "--set: film: phantom coin_cell has no such key (a group, not a parameter)"),
        ("scan.n_rotation=9", "--set: scan.n_rotation: no such key; did you mean 'n_rotations'?"),
        ("film.tilt_deg=5.5", "--set: film.tilt_deg = 5.5: allowed is a number from 0 to 5 deg"),
        ("film.tilt_deg=nan", "--set: film.tilt_deg = nan: allowed is a number from 0 to 5 deg"),
        ("film.tilt_deg=steep", "--set: film.tilt_deg = 'steep': allowed is a number"),
        ("fields.seed=1.5", "--set: fields.seed = 1.5: allowed is a whole number"),
        ("can.material=3", "--set: can.material = 3: allowed is a text"),
        ("scan.exposure_s=0", "--set: scan.exposure_s = 0: allowed is 1e-06 to 10000"),
        ("scan.n_rotations=8.5", "--set: scan.n_rotations = 8.5: allowed is a valid integer"),
        ("beam.energy_keV=[1]", "--set: beam.energy_keV = [1]: allowed is a valid number"),
        ("effects.noise=1", "--set: effects.noise = 1: allowed is true or false"),
        ("seed=-1", "--set: seed = -1: allowed is 0 to 9.22337e+18"),
        ("scan.order=spiral", "--set: scan.order = 'spiral': allowed is 'translation_fast'"),
        ("accuracy.depth_step_mm=0", "--set: accuracy.depth_step_mm = 0"),
        ("accuracy.depth_step_mm=fine", "--set: accuracy.depth_step_mm = 'fine': allowed is a num"),
        ("accuracy.texture_rings=6.5", "accuracy.texture_rings = 6.5: allowed is a whole number"),
        ("scan.n_translations=0", "--set: scan.n_translations = 0: allowed is 2 to 5000"),
        ("scan.slice_heights_um=[]", "scan.slice_heights_um = []: allowed is"),
        (
            "scan.slice_heights_um=[0.0, 70.0, 70.0]",
            "scan.slice_heights_um = [0.0, 70.0, 70.0]: allowed is a strictly rising list",
        ),
        ("scan.slice_heights_um=[0.0, -70.0]", "allowed is a strictly rising list"),
        ("detector.name=Perkins", "detector = 'Perkins': not one of pyFAI's detectors; nearest:"),
        (
            "detector.poni1_mm=3",
            "--set: detector.poni1_mm = 3.0, poni2_mm = None: allowed is both or none",
        ),
        ("detector.sensor_material=CsQ", "detector.sensor_material = 'CsQ': "),
        ("detector.poni=none.poni", "none.poni"),
        ("can.material=cancoinn", "can.material = 'cancoinn': no material 'cancoinn'; did you"),
        (
            "film.diameter_mm=7.2",
            "film.diameter_mm = 7.2 is out of range: film and offset reach 3.6 mm from the axis, "
            "the O-ring leaves 3.2 mm",
        ),
        ("film.x_mm=1.0", "film.diameter_mm = 6.0 is out of range: film and offset reach 4 mm"),
        ("film.tilt_deg=4", "film.tilt_deg = 4.0 is out of range: the foil's rim sinks 209 um"),
        ("film.LiCoO2_mg=20", "film.LiCoO2_mg = 20 is out of range"),
        ("texture.march_r=0.3", "texture.march_r - 2 texture.march_r_spread = 0.14 is out of rang"),
        (
            "recover.rings.LiCoO2_003.q_per_A=[0.5, 1.5]",
            "--set: recover.rings.LiCoO2_003.q_per_A = [0.5, 1.5]: allowed is within q_min_per_A "
            "to q_max_per_A, 0.9 to 7 1/angstrom",
        ),
        (
            "recover.rings.LiCoO2_003.background_per_A=[[6.9, 7.1]]",
            "recover.rings.LiCoO2_003.background_per_A = [6.9, 7.1]: allowed is within",
        ),
        (
            "recover.rings.LiCoO2_003.background_per_A=[[1.4, 1.6]]",
            "rings.LiCoO2_003: its windows overlap once snapped to the radial bins of 0.05 1/Å",
        ),
        ("recover.channels.steel.q_per_A=[6.0, 9.0]", "steel.q_per_A = [6.0, 9.0]: allowed is wit"),
        ("recover.channels.steel.q_per_A=[3.2, 3.1]", "allowed is [low, high] with 0 < low < high"),
        (
            "recover.channels.steel.q_per_A=[3.03, 3.06]",
            "--set: recover.channels.steel.q_per_A = [3.03, 3.06]: holds 0 of the radial bins, "
            "0.05 1/angstrom wide (n_q = 122); allowed is 1 or more",
        ),
        (
            "recover.peaks.Fe_110.q_per_A=[3.0, 3.2]",
            "recover.peaks.Fe_110.q_per_A = [3.0, 3.2]: holds 4 of the radial bins",
        ),
        ("recover.q_max_per_A=0.5", "recover.q_max_per_A = 0.5: allowed is above q_min_per_A"),
        ("recover.engine=bbox,tree,cython", "recover.engine = 'bbox,tree,cython': allowed is"),
        ("recover.peaks.Fe_110.cif=none.cif", "recover.peaks.Fe_110.cif = 'none.cif': "),
        ("recover.peaks.Fe_110.cif=", "recover.peaks.Fe_110: cif and hkl: give both"),
        ("recover.peaks.Fe_110.hkl=[1, 0, 0]", "recover.peaks.Fe_110: hkl = (1, 0, 0): absent"),
        ("scan.n_rotations=6", "scan.n_rotations = 6: allowed is 7 or more, to find the rotation"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_before_anything_is_made(
    tmp_path, override, complaint
):
    assert complaint in refused_run(tmp_path, override)


def test_an_unknown_phantom_is_told_its_nearest_name(tmp_path):
    assert refused("run", "coin_sell", "-o", tmp_path / "run") == (
        "phantom = 'coin_sell': no such phantom; did you mean 'coin_cell'? (known: coin_cell)"
    )
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[phantom]\nname = 'coin_cell'\n[scan]\nn_rotation = 9\n", "n_rotation: no such key; did"),
        ("[phantom]\nname = 'coin_cell'\n[scam]\nn_rotations = 9\n", "scam: no such key; did"),
        ("[phantom]\nname = 'coin_cel'\n", "phantom = 'coin_cel': no such phantom; did you mean"),
        (
            "[phantom]\nname = 'coin_cell'\n[phantom.parameters.film]\ntilt = 1\n",
            "film.tilt: phantom coin_cell has no such key; did you mean 'film.tilt_deg'?",
        ),
        (
            "[phantom]\nname = 'coin_cell'\n[scan]\nexposure_s = '1'\n",
            "scan.exposure_s = '1': allo",
        ),
        ("[phantom]\nname = 'coin_cell'\nscan = 3\n", "phantom.scan: no such key"),
        ("[scan]\nn_rotations = 9\n", "phantom: missing"),
        ("[phantom\n", "not a TOML file"),
        ("\xff\xfe", "not a TOML file"),
        (
            "preset = 'quik'\n[phantom]\nname = 'coin_cell'\n",
            "no such preset; did you mean 'quick'",
        ),
        ("schema = 2\n[phantom]\nname = 'coin_cell'\n", "schema = 2: allowed is 1"),
    ],
)
def test_a_wrong_settings_file_is_named(tmp_path, text, complaint):
    file = tmp_path / "given.toml"
    file.write_bytes(text.encode("latin-1"))
    said = refused("run", file, "-o", tmp_path / "run")
    assert complaint in said
    assert str(file) in said or "no such phantom" in said
    assert names(tmp_path) == {"given.toml"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("family = 'button'\n", "family = 'button': no such cell family (known: coin_cell)"),
        ("doc = 'no family'\n", "family = None: allowed is the name of a cell family"),
        ("family = 'coin_cell'\n[film.tilt_deg]\nvalue = 9\nmax = 5\n", "film.tilt_deg = 9: allow"),
        (
            "family = 'coin_cell'\n[film.tilt_deg]\nvalue = 1\nmaximum = 5\n",
            "maximum: unknown; did",
        ),
        ("family = 'coin_cell'\n[film.tilt_deg]\nvalue = 0.8\n", "'can' is missing"),
    ],
)
def test_a_wrong_phantom_file_is_named(tmp_path, text, complaint):
    phantom, file = tmp_path / "mine.toml", tmp_path / "given.toml"
    phantom.write_text(text)
    file.write_text("[phantom]\nname = 'mine.toml'\n")
    said = refused("run", file, "-o", tmp_path / "run")
    assert complaint in said
    assert "mine.toml" in said
    assert names(tmp_path) == {"mine.toml", "given.toml"}


@pytest.mark.parametrize("content", [b"", b"data_x\n_cell_length_a 3\n", bytes(range(256))])
def test_an_unreadable_cif_of_a_peak_is_named(tmp_path, content):
    given = tmp_path / "given"
    given.write_bytes(content)
    said = refused_run(tmp_path, f"recover.peaks.Fe_110.cif={given}")
    assert said.startswith(f"recover.peaks.Fe_110.cif = '{given}': {given}: not a usable crystal")


def test_an_unreadable_cif_of_a_material_is_named(tmp_path):
    materials, structures = tmp_path / "materials", tmp_path / "structures"
    materials.mkdir()
    structures.mkdir()
    (structures / "Fe.cif").write_bytes(b"\x00 no cif")
    (materials / "Fe.toml").write_text(
        "description = 'iron'\n"
        "density_g_cm3 = { value = 7.874, source = 'a' }\n"
        "composition = { formula = 'Fe', source = 'a' }\n"
        "[structure]\ncif = 'Fe.cif'\n"
        "crystallite_size_A = { value = 1000.0, source = 'a' }\n"
        "microstrain = { value = 0.0, source = 'a' }\n"
    )
    with pytest.raises(ValueError, match=r"Fe.toml: structure.cif: .*Fe.cif: not a usable") as told:
        load_material("Fe", materials)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"binning": 1}, "detector mismatch with the PONI: Pilatus100k has shape (195, 487), the"),
        ({"detector": "Perkin"}, "detector mismatch with the PONI: Perkin has shape"),
        ({"energy_keV": 70.0}, "Wavelength: is that of 70 keV, beam.energy_keV = 69.95"),
    ],
)
def test_a_poni_of_another_detector_or_energy_is_refused(tmp_path, changes, complaint):
    given = tmp_path / "given"
    values = {"detector": "Pilatus100k", "binning": 2, "distance_mm": 200.0, "energy_keV": 69.95}
    given.write_text(write_poni(**(values | changes)))
    said = refused_run(tmp_path, f"detector.poni={given}")
    assert said.startswith(f"{given}: {complaint}")


@pytest.mark.parametrize("content", [b"", b"no poni", b"\xff\xff", b"Distance: -1\n"])
def test_a_poni_that_is_none_is_named(tmp_path, framed, content):
    given = tmp_path / "given"
    given.write_bytes(content)
    assert refused_run(tmp_path, f"detector.poni={given}").startswith(f"{given}: ")
    said = refused("recover", framed, "-o", tmp_path / "run", "--poni", given)
    assert "given" in said
    assert names(tmp_path) == {"given"}


def test_a_file_is_no_folder_for_results(whole, tmp_path):
    file = tmp_path / "given"
    file.write_text("mine")
    for place in (file, file / "run"):
        said = refused("run", "coin_cell", *with_sets(), "-o", place)
        assert said == f"{file}: is a file; allowed for results is a folder"
        assert refused("recover", whole, "-o", place) == said
    assert file.read_text() == "mine"
    assert "no such folder" in refused("score", file)


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    """By pretence: the super-user, who runs tests in containers, may write anywhere."""
    monkeypatch.setattr("xrdct_sim.workflow.folder.os.access", lambda *_: False)
    said = refused("simulate", "coin_cell", *with_sets(), "-o", tmp_path / "run")
    assert said == f"{tmp_path}: no permission to write into this folder"
    assert names(tmp_path) == set()


def test_a_full_disk_leaves_the_older_recovery_or_none(whole, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)

    def full(*_, **__):
        raise OSError(28, "No space left on device", str(folder / "recon.nxs"))

    monkeypatch.setattr(steps, "write_recovery", full)
    assert "recon.nxs" in refused("recover", folder)
    assert "recon.nxs" not in names(folder)
    assert not {name for name in names(folder) if name.endswith(".part")}
    assert "run xrdct-sim recover first" in refused("score", folder)


def test_an_interrupt_is_no_traceback(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(workflow, "simulate", interrupt)
    code, _, complaint = call("simulate", "coin_cell", *with_sets(), "-o", tmp_path / "run")
    assert code not in (0, 2)
    assert "Traceback" not in complaint
    assert names(tmp_path) == set()


def test_the_workflow_itself_refuses_what_the_command_line_does(tmp_path):
    with pytest.raises(ValueError, match="route = 'fast': must be one of frames, integrated"):
        workflow.simulate(settings(), tmp_path / "run", route="fast")
    with pytest.raises(FileNotFoundError, match=r"integrated.nxs: no such file"):
        workflow.recover(tmp_path, tmp_path / "run", settings().recover)
    assert names(tmp_path) == set()
    assert np.isfinite(settings().scan.exposure_s)
