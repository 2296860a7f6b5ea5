"""The house's rules, read from the source: one-way floors, one home for each foreign library."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

import xrdct_sim

PACKAGE = Path(xrdct_sim.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# A floor may import itself and the floors before it, but for the pairs below.
FLOORS = [
    "physics",
    "instrument",
    "scanfile",
    "sample",
    "simulate",
    "recover",
    "judge",
    "plan",
    "config",
    "workflow",
    "cli",
]
# Truth must not leak into a recovery: the two meet in a scan only.
STRANGERS = {("recover", "simulate"), ("simulate", "recover"), ("recover", "sample")}

HOMES = {
    "xraylib": ("physics/",),
    "gemmi": ("physics/crystals.py",),
    "pyFAI": ("instrument/geometry.py", "recover/pyfai_engine.py"),
    "numba": ("instrument/noise.py",),
    "h5py": ("scanfile/",),
    "hdf5plugin": ("scanfile/",),
    "matplotlib": ("judge/",),
    "PIL": ("judge/palette.py",),
    "jinja2": ("judge/",),
    "skimage": ("judge/",),
    "pydantic": ("config/",),
    "tomli_w": ("config/",),
    "typer": ("cli.py",),
    "rich": ("cli.py",),
}
FREE = {"numpy", "jax", "scipy", "xrdct_sim"}


def imports(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """Every import statement of a file, inside functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, members included."""
    names: set[str] = set()
    for node in imports(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def label(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def floor(path: Path) -> str:
    return label(path).split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_imports_go_one_way(path):
    own = floor(path)
    used = {name.split(".")[1] for name in imported(path) if name.startswith("xrdct_sim.")}
    used -= {"__version__", "phantoms", "validation"}
    if own == "__init__":
        assert used == set()
        return
    for other in used - {own}:
        assert FLOORS.index(other) < FLOORS.index(own), f"{own} imports {other}"
        assert (own, other) not in STRANGERS, f"{own} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_each_foreign_library_has_one_home(path):
    standard = sys.stdlib_module_names
    for library in {name.split(".")[0] for name in imported(path)} - FREE - standard:
        assert library in HOMES, f"{library} has no home: give it one, and a floor in pyproject"
        assert label(path).startswith(HOMES[library]), f"{library} lives in {HOMES[library]}"


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_imports_are_plain_and_at_the_top(path):
    """No star; none inside a function, but for the command line's, whose help must be quick."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not any(alias.name == "*" for node in imports(path) for alias in node.names)
    everywhere = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    inside = sorted(set(everywhere) - {node.lineno for node in tree.body})
    assert not inside or label(path) == "cli.py", f"lines {inside}"


def sources() -> list[Path]:
    """All Python files of the project."""
    return [*MODULES, *sorted((ROOT / "tests").rglob("*.py")), *sorted(ROOT.glob("docs/**/*.py"))]


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_one_thing_of_readable_length(path):
    """About 300 lines are where a file is usually two things; 330 is the limit."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 330


def test_every_package_is_shipped():
    """The list in pyproject.toml is explicit, because phantoms and validation live outside."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        listed = set(tomllib.load(file)["tool"]["setuptools"]["packages"])
    found = {".".join(("xrdct_sim", *path.parent.relative_to(PACKAGE).parts)) for path in MODULES}
    assert listed == found | {"xrdct_sim.phantoms", "xrdct_sim.validation"}
