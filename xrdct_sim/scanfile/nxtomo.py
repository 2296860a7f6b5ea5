"""Raw frames on disk: the NXtomo layout, one compressed chunk per frame, streamed both ways.

Compression is bitshuffle with LZ4, lossless; readers need hdf5plugin. Left out: what stands beside
the frames (`record`).
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from numpy.typing import NDArray

from xrdct_sim.scanfile.fold import check_places
from xrdct_sim.scanfile.header import FRAMES, scan_header
from xrdct_sim.scanfile.nexus import created, opened, read, write_into
from xrdct_sim.scanfile.record import recorded
from xrdct_sim.scanfile.scan import Scan, ScanInfo

_BLOCK_BYTES = 65536  # of bitshuffle; smaller and faster than its default of 8 KiB

Progress = Callable[[int, int, str], None]


def write_scan(
    path: Path | str, scan: Scan, progress: Progress | None = None, n_threads: int = 2
) -> None:
    """Compute a scan's frames in order, in ``n_threads`` threads, and stream them into a file.

    ``progress(done, total, what)`` is called after each frame. The file appears only when complete.
    """
    info = scan.info
    if info.n_frames == 0:
        raise ValueError(f"{path}: the scan is empty: 0 frames; allowed 1 or more")
    check_places(np.asarray(info.place), info.grid_shape)
    header = scan_header(info, _now())
    with created(path) as file:
        write_into(file, header)
        for done, (index, frame) in enumerate(_in_order(scan, n_threads), start=1):
            if done == 1:
                frames = _create_frames(file, info, frame.dtype)
            if frame.shape != tuple(info.shape):
                raise ValueError(f"{path}: frame {index} has shape {frame.shape}, not {info.shape}")
            frames[index] = frame
            if progress is not None:
                progress(done, info.n_frames, "frames")
        file["entry"]["end_time"] = _now()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _create_frames(file: h5py.File, info: ScanInfo, dtype: np.dtype[Any]) -> h5py.Dataset:
    frames = file.create_dataset(
        FRAMES,
        shape=(info.n_frames, *info.shape),
        chunks=(1, *info.shape),
        dtype=dtype,
        **hdf5plugin.Bitshuffle(nelems=_BLOCK_BYTES // dtype.itemsize, cname="lz4"),
    )
    frames.attrs.update({"interpretation": "image", "units": "counts"})
    return frames


def _in_order(scan: Scan, n_threads: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield each frame with its index, in the scan's best order; a few are computed ahead."""
    with ThreadPoolExecutor(n_threads) as pool:
        ahead: deque[tuple[int, Future[NDArray[Any]]]] = deque()
        try:
            for index in scan.order():
                ahead.append((index, pool.submit(scan.frame, index)))
                if len(ahead) > 2 * n_threads:
                    first, future = ahead.popleft()
                    yield first, future.result()
            while ahead:
                first, future = ahead.popleft()
                yield first, future.result()
        finally:
            for _, future in ahead:
                future.cancel()


def read_scan(path: Path | str, poni: str | None = None) -> Scan:
    """Open a scan, simulated or measured; a frame is read when it is asked for, from any thread.

    A file without our record is folded from its positions; dark frames (image_key 2) are summed.
    ``poni``, the text of a PONI file, replaces the geometry in the file.
    """
    with opened(path) as file:
        if not isinstance(file.get(FRAMES), h5py.Dataset):
            raise ValueError(f"{path}: {FRAMES} is missing")
        stack_shape = file[FRAMES].shape
    tree = read(path, leave_out=(FRAMES,))
    try:
        found = recorded(tree, stack_shape, poni)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    info = found.info
    if len(found.darks):
        dark = _FrameReader(Path(path), found.darks)
        total = sum((dark(i).astype(float) for i in range(len(found.darks))), np.zeros(info.shape))
        info = replace(info, dark_counts=total, dark_exposure_s=found.dark_exposure_s)
    return Scan(info=info, frame=_FrameReader(Path(path), found.frames))


class _FrameReader:
    """Reads frames from an open file; h5py serialises the threads."""

    def __init__(self, path: Path, stack_index: NDArray[np.intp]) -> None:
        self._file = h5py.File(path, "r")
        self._frames = self._file[FRAMES]
        self._stack_index = stack_index
        self._path = path

    def __call__(self, index: int) -> NDArray[np.integer]:
        """Return frame ``index`` of the scan, (rows, columns)."""
        if not 0 <= index < len(self._stack_index):
            raise ValueError(
                f"{self._path}: no frame {index}; allowed 0 to {len(self._stack_index) - 1}"
            )
        try:
            return np.asarray(self._frames[self._stack_index[index]])
        except OSError as error:
            first = str(error).splitlines()[0]
            raise ValueError(f"{self._path}: frame {index} cannot be read ({first})") from error
