"""Where a run keeps its files."""

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


def fresh(directory: Path) -> Folder:
    """The folder, without results of an earlier run."""
    made = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    folder = Folder(path=directory)
    if not made:
        for path in (folder.scan, folder.integrated, folder.recon, folder.truth):
            path.unlink(missing_ok=True)
        for path in (folder.score, folder.report):
            path.unlink(missing_ok=True)
    return folder


def replace_text(path: Path, text: str) -> None:
    """Write a text so that no reader ever sees half of it."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
