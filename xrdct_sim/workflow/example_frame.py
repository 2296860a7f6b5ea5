"""One detector frame kept beside the integrated data, for the eye."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xrdct_sim.scanfile.nexus import (
    Group,
    array,
    data_group,
    dataset,
    entry_group,
    read,
    write,
)


def write_frame(path: Path, index: int, image: NDArray[np.number]) -> None:
    """Add a frame to a file of integrated data."""
    tree = read(path)
    frame = data_group(
        {"counts": dataset(image, "counts", "counts", "image"), "index": dataset(index)},
        signal="counts",
        axes=(".", "."),
    )
    entry = entry_group({"frame": frame}, title=f"frame {index}", default="frame")
    members = {**tree.members, "example": entry}
    write(path, Group(nx_class="NXroot", members=members, attributes=tree.attributes))


def read_frame(path: Path) -> tuple[int, NDArray[np.number]] | None:
    """The frame kept in a file, with its index; None if there is none."""
    tree = read(path)
    if "example" not in tree.members:
        return None
    index = int(array(tree, "example/frame/index"))
    return index, array(tree, "example/frame/counts")
