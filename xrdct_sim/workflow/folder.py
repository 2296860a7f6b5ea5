"""Where a run keeps its files."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Where a run keeps its files."""

    path: Path

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def config(self) -> Path:
        """Resolved settings."""
        return self.path / "config.toml"

    @property
    def scan(self) -> Path:
        """Frames."""
        return self.path / "scan.nxs"

    @property
    def integrated(self) -> Path:
        """Sums over cells, I(Q) and ring profiles."""
        return self.path / "integrated.nxs"

    @property
    def recon(self) -> Path:
        """Reconstruction."""
        return self.path / "recon.nxs"

    @property
    def truth(self) -> Path:
        """Truth."""
        return self.path / "truth.nxs"

    @property
    def score(self) -> Path:
        """Numbers."""
        return self.path / "score.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"


def check_folder(directory: Path) -> None:
    """Raise unless results can go there; makes nothing."""
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there}: is a file; allowed for results is a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there}: no permission to write into this folder")


def made(directory: Path) -> Folder:
    """The folder, made if it is not there."""
    check_folder(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return Folder(path=directory)


def fresh(directory: Path) -> Folder:
    """The folder, without results of an earlier run."""
    folder = made(directory)
    for path in (folder.scan, folder.integrated, folder.truth):
        path.unlink(missing_ok=True)
    outdated(folder)
    return folder


def outdated(folder: Folder) -> None:
    """Remove what an earlier recovery led to: nothing of it may stand beside a new one."""
    for path in (folder.recon, folder.score, folder.report):
        path.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a text so that no reader ever sees half of it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
