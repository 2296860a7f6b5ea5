"""Command line: reads what the user asks for, calls the workflow, shows progress and complaints.

The workflow is imported inside the commands: it needs seconds, and ``--help`` must not.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from xrdct_sim import __version__
from xrdct_sim.config.experiment import RunSettings
from xrdct_sim.config.layers import load_recover_settings, load_settings
from xrdct_sim.config.phantoms import load_phantom_spec, phantom_names

TRACEBACK = "XRDCT_SIM_TRACEBACK"

app = typer.Typer(
    name="xrdct-sim",
    help="Simulate X-ray diffraction tomography, recover it, score it against exact truth.",
    epilog=f"Complaints are one line; set {TRACEBACK}=1 to see where one comes from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Route(StrEnum):
    """How the integrated counts are made."""

    frames = "frames"
    integrated = "integrated"


Target = Annotated[str, typer.Argument(help="A phantom's name, or a TOML file with settings.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")]
Source = Annotated[Path, typer.Argument(help="Folder of a run, or a scan's file (.nxs).")]
Folder = Annotated[Path, typer.Argument(help="Folder of a run.")]
Preset = Annotated[
    str | None,
    typer.Option(help="quick or paper; a phantom's name alone means quick, a file means its own."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A phantom's parameter (film.tilt_deg=1.2) or a setting (scan.exposure_s=0.5); "
        "may be repeated.",
    ),
]
Frames = Annotated[bool, typer.Option("--frames", help="Also write the frames, scan.nxs.")]
RouteOption = Annotated[
    Route,
    typer.Option(help="Integrate simulated frames, or draw the integrated counts without frames."),
]


@app.command()
def run(
    target: Target,
    output: Output,
    preset: Preset = None,
    overrides: Overrides = None,
    route: RouteOption = Route.frames,
    frames: Frames = False,
) -> None:
    """Simulate, recover, score and report in one go."""
    settings = _settings(target, preset, overrides)
    _check_route(route, frames)
    from xrdct_sim import workflow

    with progress_bar() as progress:
        workflow.run(settings, output, route=route.value, frames=frames, progress=progress)
    typer.echo(str(output / "report.html"))


@app.command()
def simulate(
    target: Target,
    output: Output,
    preset: Preset = None,
    overrides: Overrides = None,
    route: RouteOption = Route.frames,
    frames: Frames = False,
) -> None:
    """Simulate a scan and write its integrated data, its truth and, if wanted, its frames."""
    settings = _settings(target, preset, overrides)
    _check_route(route, frames)
    from xrdct_sim import workflow

    with progress_bar() as progress:
        workflow.simulate(settings, output, route=route.value, frames=frames, progress=progress)


@app.command()
def recover(
    source: Source,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the results [SOURCE's].")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file whose [recover] is used [config.toml beside the scan]."),
    ] = None,
    overrides: Overrides = None,
    poni: Annotated[
        Path | None, typer.Option(help="PONI file to use instead of the scan's own.")
    ] = None,
) -> None:
    """Integrate, reconstruct and fit a scan, simulated or measured; never sees a phantom."""
    folder = source if source.is_dir() else source.parent
    beside = folder / "config.toml"
    chosen = config or (beside if beside.is_file() else None)
    settings = load_recover_settings(None if chosen is None else str(chosen), overrides or ())
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such file or folder")
    if poni is not None and not poni.is_file():
        raise FileNotFoundError(f"{poni}: no such file")
    from xrdct_sim import workflow

    with progress_bar() as progress:
        workflow.recover(source, output or folder, settings, poni=poni, progress=progress)


@app.command()
def score(directory: Folder) -> None:
    """Compare a folder's recovery with its truth; writes score.json."""
    _check_folder(directory)
    from xrdct_sim import workflow

    with progress_bar() as progress:
        workflow.score(directory, progress=progress)


@app.command()
def report(directory: Folder) -> None:
    """Write report.html from what a folder holds."""
    _check_folder(directory)
    from xrdct_sim import workflow

    workflow.report(directory)
    typer.echo(str(directory / "report.html"))


@app.command()
def phantoms(
    name: Annotated[str | None, typer.Argument(help="A phantom, to list its parameters.")] = None,
) -> None:
    """List the phantoms, or one phantom's parameters with units, defaults and bounds."""
    if name is None:
        table = Table("phantom", "what it is")
        for known in phantom_names():
            table.add_row(known, load_phantom_spec(known).doc)
    else:
        spec = load_phantom_spec(name)
        table = Table("--set", "default", "allowed", "meaning", title=spec.doc)
        table.columns[0].no_wrap = True
        for key, parameter in spec.parameters.items():
            unit = "" if parameter.unit in ("", "1") else f" {parameter.unit}"
            table.add_row(key, f"{parameter.value}{unit}", parameter.allowed, parameter.doc)
    Console().print(table)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xrdct-sim {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


def _settings(target: str, preset: str | None, overrides: list[str] | None) -> RunSettings:
    if preset is None and not target.endswith(".toml"):
        preset = "quick"
    return load_settings(target, preset, overrides or ())


def _check_route(route: Route, frames: bool) -> None:
    if frames and route is Route.integrated:
        raise ValueError(
            "--frames: --route integrated makes no frames; allowed with --route frames"
        )


def _check_folder(directory: Path) -> None:
    if not directory.is_dir():
        raise FileNotFoundError(f"{directory}: no such folder")


class ProgressBar:
    """Turns calls ``progress(done, total, what)`` into one bar for each ``what``."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._tasks = {task.description: task.id for task in shown.tasks}

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show that ``done`` of ``total`` steps of ``what`` are made."""
        if what not in self._tasks:
            self._tasks[what] = self._shown.add_task(what, total=total)
        self._shown.update(self._tasks[what], completed=done, total=total)


@contextmanager
def progress_bar() -> Iterator[ProgressBar]:
    """Bars on the terminal's error stream; silent where there is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        yield ProgressBar(shown)


def main() -> None:
    """Run the command line; a bad input is one line on the error stream and exit code 2."""
    try:
        app()
    except (ValueError, OSError) as error:
        if os.environ.get(TRACEBACK):
            raise
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(2)
