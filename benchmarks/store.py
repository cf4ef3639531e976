"""How prepared cases are best kept on the disk: size, time to write, and time to cut a random patch, on one thread.

The formats hold what `segtrain.data.prepare` makes of real scans, and of a made-up CT; what is written is flushed to
the disk. A patch is the image with its classes, as the network gets it: float32, wherever it lies in the scan, from a
case that was not open before. *Cold* asks the system to forget the file before each patch; what the disk beneath a
virtual machine remembers is not in its power.

blosc2 is no dependency of segtrain: without `pip install blosc2`, its rows are left out.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.commands import real_data, table
from segtrain.core.case import Case
from segtrain.core.files import sync
from segtrain.core.grid import Grid
from segtrain.core.plan import ChannelIntensity, Plan
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.array_file import MappedArrays, write_arrays
from segtrain.data.cases import find_cases
from segtrain.data.prepare import PreparedCase, prepare
from segtrain.data.settings import DataSettings
from segtrain.recipes.one_case import read_case

PATCHES = 30
"""Of each case and format, cold and warm."""
HIPPOCAMPUS_CASES = 10
BLOSC_CHUNK, BLOSC_BLOCK = 64, 32
"""Sides in voxels of what blosc2 reads and unpacks at once; nnU-Net derives similar ones from its patch."""

Arrays = dict[str, NDArray]
Cut = Callable[[str, tuple[slice, ...]], NDArray]
"""Name of an array and a box of it -> its voxels."""


@dataclass(frozen=True)
class Scans:
    """Prepared cases of one kind, and the patch that is cut from them."""

    name: str
    cases: list[PreparedCase]
    patch: tuple[int, int, int]


@dataclass(frozen=True)
class Format:
    """A way to keep the arrays of a case in a folder."""

    name: str
    save: Callable[[Path, Arrays], None]
    cut: Callable[[Path], Cut]


def save_mapped(folder: Path, arrays: Arrays) -> None:
    write_arrays(folder / "case.safetensors", arrays, {})


def cut_mapped(folder: Path) -> Cut:
    arrays = MappedArrays(folder / "case.safetensors")
    return lambda name, box: np.array(arrays[name][box])


def save_half(folder: Path, arrays: Arrays) -> None:
    for name, array in {**arrays, "image": arrays["image"].astype(np.float16)}.items():
        np.save(folder / f"{name}.npy", array)
        sync(folder / f"{name}.npy")


def cut_half(folder: Path) -> Cut:
    def cut(name: str, box: tuple[slice, ...]) -> NDArray:
        found = np.load(folder / f"{name}.npy", mmap_mode="r")[box]
        return found.astype(np.float32) if found.dtype == np.float16 else np.array(found)

    return cut


def save_npz(folder: Path, arrays: Arrays) -> None:
    np.savez_compressed(folder / "case.npz", **arrays)
    sync(folder / "case.npz")


def cut_npz(folder: Path) -> Cut:
    def cut(name: str, box: tuple[slice, ...]) -> NDArray:
        with np.load(folder / "case.npz") as file:
            return np.array(file[name][box])

    return cut


def blosc_format(codec: str, level: int) -> Format:
    import blosc2

    blosc2.set_nthreads(1)
    packing = {"codec": blosc2.Codec[codec], "clevel": level, "nthreads": 1}

    def save(folder: Path, arrays: Arrays) -> None:
        for name, array in arrays.items():
            chunks = (1,) * (array.ndim - 3) + tuple(min(BLOSC_CHUNK, n) for n in array.shape[-3:])
            blocks = (1,) * (array.ndim - 3) + tuple(min(BLOSC_BLOCK, n) for n in chunks[-3:])
            target = str(folder / f"{name}.b2nd")
            blosc2.asarray(np.ascontiguousarray(array), urlpath=target, chunks=chunks, blocks=blocks, cparams=packing)
            sync(Path(target))

    def cut(folder: Path) -> Cut:
        unpacking = {"nthreads": 1}
        where = {name: str(folder / f"{name}.b2nd") for name in ("image", "classes")}
        return lambda name, box: blosc2.open(where[name], mode="r", mmap_mode="r", dparams=unpacking)[box]

    return Format(f"blosc2 {codec.lower()} {level}", save, cut)


def formats() -> Iterator[Format]:
    yield Format("mapped float32 (the store)", save_mapped, cut_mapped)
    yield Format("mapped float16", save_half, cut_half)
    if find_spec("blosc2"):
        yield blosc_format("LZ4", 5)
        yield blosc_format("ZSTD", 5)
    yield Format("npz compressed", save_npz, cut_npz)


def z_score(*channels: str) -> Plan:
    """Prepare MR on its own grid; the sizes of the network do not matter here."""
    return plan_of(*(ChannelIntensity(channel=c, rule="zscore") for c in channels))


def plan_of(*intensity: ChannelIntensity) -> Plan:
    one_stage = {"widths": (8,), "strides": (), "kernels": ((3, 3, 3),), "convolutions": (1,)}
    own = (None, None, None)
    return Plan(dims=3, spacing_mm=own, patch_size=(8, 8, 8), batch_size=1, intensity=intensity, **one_stage)


def prepared(case: Case, plan: Plan, task: Task) -> PreparedCase:
    image, labels, _ = read_case(case, plan.channels, task)
    return prepare(case.id, image, labels, plan, task)


def hippocampus() -> Scans | None:
    folder = real_data("hippocampus")
    if folder is None:
        return None
    task = Task(labels={"background": 0, "anterior": 1, "posterior": 2})
    cases = find_cases(DataSettings(images=folder / "images", labels=folder / "labels", channels=("T1",)))
    some = [prepared(case, z_score("T1"), task) for case in cases[:HIPPOCAMPUS_CASES]]
    return Scans("hippocampus, T1", some, (40, 56, 40))


def brain_tumour() -> Scans | None:
    root = real_data("pgbm_dicom")
    if root is None:
        return None
    patterns = {"T1post": "*T1post*", "FLAIR": "*FLAIRreg*"}
    settings = DataSettings(layout="dicom", root=root, case="*/*", channels=patterns, label="*MaskTumor*")
    task = Task(labels={"background": 0, "tumour": 1})
    plan = z_score(*patterns)
    return Scans("brain tumour, T1 and FLAIR", [prepared(c, plan, task) for c in find_cases(settings)], (160, 160, 20))


def made_up_ct(shape: tuple[int, int, int] = (320, 320, 160)) -> Scans:
    """Air, a body of soft tissue with a texture, a bright organ, and noise; whole Hounsfield units."""
    rng = np.random.default_rng(0)
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    body = axes[0] ** 2 / 0.8 + axes[1] ** 2 / 0.5 < 1 + 0 * axes[2]
    organ = (axes[0] - 0.3) ** 2 + axes[1] ** 2 + axes[2] ** 2 < 0.08
    texture = ndimage.gaussian_filter(rng.normal(size=shape).astype(np.float32), 3) * 600
    image = np.where(body, 40 + texture + 60 * organ, -1000) + rng.normal(0, 12, shape)
    grid = Grid(shape, np.diag([0.8, 0.8, 2.5, 1.0]))
    rule = ChannelIntensity(channel="CT", rule="ct", lower=-160, upper=240, mean=60, std=45)
    task = Task(labels={"background": 0, "organ": 1})
    volume = Volume(np.round(image)[np.newaxis].astype(np.int16), grid)
    case = prepare("ct", volume, LabelMap(organ.astype(np.uint8), grid), plan_of(rule), task)
    return Scans("made-up CT", [case], (160, 160, 96))


def boxes(shape: tuple[int, ...], patch: tuple[int, ...], seed: int) -> Iterator[tuple[slice, ...]]:
    """Random places of a patch; where the scan is smaller, all of it."""
    rng = np.random.default_rng(seed)
    while True:
        size = np.minimum(patch, shape)
        start = rng.integers(0, np.array(shape) - size + 1)
        yield tuple(slice(int(a), int(a + n)) for a, n in zip(start, size, strict=True))


def measure(scans: Scans, way: Format, root: Path) -> list[object]:
    """A row of the table: of all cases, the sum of the sizes and of the writing, and the medians of the patches."""
    folders, writing = [], 0.0
    for case in scans.cases:
        folders.append(root / case.case)
        folders[-1].mkdir()
        began = time.perf_counter()
        way.save(folders[-1], {"image": case.image, "classes": case.classes})
        writing += time.perf_counter() - began
    raw = sum(case.image.nbytes + case.classes.nbytes for case in scans.cases)
    size = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
    cold = [patch_ms(case, way, folder, scans.patch, n, forget=True) for case, folder, n in rounds(scans, folders)]
    warm = [patch_ms(case, way, folder, scans.patch, n, forget=False) for case, folder, n in rounds(scans, folders)]
    share = f"{size / 2**20:.1f} ({size / raw:.0%})"
    return [scans.name, way.name, share, 1e3 * writing / len(folders), statistics.median(cold), statistics.median(warm)]


def rounds(scans: Scans, folders: list[Path]) -> Iterator[tuple[PreparedCase, Path, int]]:
    for number in range(PATCHES):
        which = number % len(folders)
        yield scans.cases[which], folders[which], number


def patch_ms(
    case: PreparedCase, way: Format, folder: Path, patch: tuple[int, int, int], seed: int, *, forget: bool
) -> float:
    """Open the case and cut one patch, checked against the array that was kept."""
    if forget:
        drop_from_memory(folder)
    box = next(boxes(case.classes.shape, patch, seed))
    began = time.perf_counter()
    cut = way.cut(folder)
    image, classes = cut("image", (slice(None), *box)), cut("classes", box)
    seconds = time.perf_counter() - began
    same = np.allclose(image, case.image[(slice(None), *box)], rtol=2**-11, atol=1e-7)
    if not same or not np.array_equal(classes, case.classes[box]):
        raise RuntimeError(f"{way.name} gives other voxels back than it was given")
    return 1e3 * seconds


def drop_from_memory(folder: Path) -> None:
    """Ask the system to forget the files; it does where their content is on the disk and nobody has them mapped."""
    for file in folder.iterdir():
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def main() -> None:
    rows = []
    for scans in filter(None, (hippocampus(), brain_tumour(), made_up_ct())):
        for way in formats():
            with tempfile.TemporaryDirectory() as name:
                rows.append(measure(scans, way, Path(name)))
    header = ["scans", "format", "MiB on disk (of raw)", "write a case (ms)", "patch, cold (ms)", "patch, warm (ms)"]
    table(header, rows)
    if not find_spec("blosc2"):
        print("\nleft out: blosc2 is not installed (pip install blosc2)")


if __name__ == "__main__":
    main()
