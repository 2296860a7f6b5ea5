"""What the documentation says of the code is so: names, tables, pictures, links."""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from xrdct_sim.config.layers import load_settings
from xrdct_sim.recover.least_squares import Status

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), *(ROOT / n for n in ("README.md", "CONTRIBUTING.md"))])
UNTESTED = "no test of its own yet"
LARGEST_PICTURE = 300_000  # bytes


def rows(page: str) -> list[tuple[str, ...]]:
    """Cells of every table row of a page but headings."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    found = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("| ") and not following.startswith("|---"):
            found.append(tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]))
    return found


def codes(cell: str) -> list[str]:
    """Code spans of a cell."""
    return re.findall(r"`([^`]+)`", cell)


LAWS = [row for row in rows("physics.md") if len(row) == 5]
APPROXIMATIONS = [row for row in rows("physics.md") if len(row) == 3]


@cache
def definitions(path: Path) -> frozenset[str]:
    """Names of a module's functions and classes, methods as Class.method, assignments too."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (n.name for n in node.body if isinstance(n, ast.FunctionDef))
            found.update(f"{node.name}.{name}" for name in inner)
    return frozenset(found)


def exists(name: str) -> bool:
    """Whether ``physics.texture`` or ``physics.texture.march_dollase`` is in the package."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        path = (ROOT / "xrdct_sim").joinpath(*parts[:cut]).with_suffix(".py")
        if path.is_file():
            rest = ".".join(parts[cut:])
            return not rest or rest in definitions(path)
    return False


def test_the_page_of_laws_has_laws() -> None:
    assert len(LAWS) > 50
    assert len(APPROXIMATIONS) > 40


@pytest.mark.parametrize("row", LAWS, ids=lambda row: row[0])
def test_each_law_names_functions_and_tests_that_exist(row: tuple[str, ...]) -> None:
    _, _, functions, tests, source = row
    assert source
    assert codes(functions)
    assert [name for name in codes(functions) if not exists(name)] == []
    named = [name.split("::") for name in codes(tests)]
    assert named or tests == UNTESTED
    missing = [
        f"{file}::{test}"
        for file, test in named
        if test not in definitions(ROOT / "tests" / f"{file}.py")
    ]
    assert missing == []


@pytest.mark.parametrize("row", APPROXIMATIONS, ids=lambda row: row[0][:40])
def test_each_approximation_has_a_size_and_a_place(row: tuple[str, ...]) -> None:
    what, size, places = row
    assert what
    assert size
    for name in codes(places):
        assert exists(name) or (ROOT / name).is_file()


@cache
def generator() -> ModuleType:
    """The module that makes tables and pictures."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["usage.md", "phantoms.md"])
def test_generated_tables_are_up_to_date(page: str) -> None:
    """If not: run python docs/generate.py."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert generator().refreshed(page, text) == text


def test_every_setting_has_a_meaning_in_its_table() -> None:
    settings = [row for row in rows("usage.md") if len(row) == 5 and row[0].startswith("`")]
    assert len(settings) > 70
    without = [key for key, *_, meaning in settings if not meaning]
    # effects whose name says all
    assert all(key.startswith("`effects.") for key in without)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith("https://"):
            assert (page.parent / target).is_file(), target


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "images").glob("*.png"))
    assert len(pictures) >= 2
    assert [p.name for p in pictures if p.stat().st_size > LARGEST_PICTURE] == []


@pytest.mark.parametrize(("column", "preset"), [(1, "quick"), (2, "paper")])
def test_the_table_of_presets_is_that_of_the_presets(column: int, preset: str) -> None:
    wanted = load_settings("coin_cell", preset)
    table = {row[0]: row[column] for row in rows("usage.md") if len(row) == 3}
    scan, detector, recover = wanted.scan, wanted.detector, wanted.recover
    assert [int(n) for n in re.findall(r"\d+", table["frames a slice"])] == [
        scan.n_translations,
        scan.n_rotations,
    ]
    assert scan.step_um == wanted.beam.width_um == float(table["step and beam width"].split()[0])
    side = 2048 // detector.binning
    pixel_mm = 0.2 * detector.binning
    pixels = f"{side} x {side} of {pixel_mm:g} mm at {detector.distance_mm:g} mm"
    assert table["pixels"] == pixels
    assert float(table["exposure"].split()[0]) == scan.exposure_s
    low, high = recover.q_min_per_A, recover.q_max_per_A
    assert table["radial bins"] == f"{recover.n_q} from {low:g} to {high:g} 1/Å"
    assert table["azimuthal sectors"] == str(recover.n_azimuth)
    words = {"transmission": "by transmission", "i0": "by incident photons, as in the paper"}
    assert table["normalisation"] == words[recover.normalisation]


def test_the_table_of_status_codes_is_complete() -> None:
    listed = [row[0] for row in rows("files.md") if len(row) == 2 and row[0].isdigit()]
    assert [int(code) for code in listed] == [int(code) for code in Status]
