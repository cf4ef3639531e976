"""F1 to F4 and F11: files that are damaged, absurd, or lie in odd places, met by a command."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from tests.commands.projects import CONFIG, GRIDS, answer, done, files_in, refused, truncate, write_image
from tests.data.dicom_phantoms import write_on_grid
from tests.faults.studies import contents, faults_of, image_of, inputs_untouched, label_of, small_study
from tests.faults.table import fault

SHORT = CONFIG.replace("epochs: 2, steps_per_epoch: 3", "epochs: 1, steps_per_epoch: 1")


def as_kind(config: Path, suffix: str, *, packed: bool = False) -> Path:
    """The victim's scan as a file of another kind, in place of the one that was there."""
    old = image_of(config)
    new = old.with_name(f"P1{suffix}")
    sitk.WriteImage(sitk.ReadImage(str(old)), str(new), useCompression=packed)
    old.unlink()
    return new


@fault("F1", "the last 20 bytes of a `.nii`, `.mha`, `.nrrd`, plain or packed", then="3, the case and the file")
@pytest.mark.parametrize(
    ("suffix", "packed"), [(".nii", False), (".mha", False), (".mha", True), (".nrrd", False), (".nrrd", True)]
)
def test_a_file_that_lost_its_end_is_named_whatever_its_kind(tmp_path: Path, suffix: str, packed: bool) -> None:
    config = small_study(tmp_path)
    file = as_kind(config, suffix, packed=packed)
    truncate(file, lambda n: n - 20)
    text = faults_of(config)
    assert "case P1" in text
    assert str(file) in text


@fault("F1", "half of a DICOM slice", then="3, the case and the slice; the others are no smaller scan")
def test_half_a_slice_is_named(tmp_path: Path) -> None:
    config = small_study(tmp_path)
    values = np.asarray(nibabel.load(image_of(config)).dataobj).astype(np.int16)
    image_of(config).unlink()
    series = config.parent / "images" / "P1"
    write_on_grid(series, values, GRIDS[1])
    slice_ = sorted(series.iterdir())[3]
    truncate(slice_, lambda n: n // 2)
    text = faults_of(config)
    assert "P1" in text
    assert slice_.name in text


def flip(path: Path, share: float = 0.6) -> None:
    data = bytearray(path.read_bytes())
    data[int(share * len(data))] ^= 4
    path.write_bytes(data)


def unpacked(path: Path) -> None:
    path.write_bytes(gzip.decompress(path.read_bytes()))


OTHERWISE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (flip, "damaged"),
    "a web page": (lambda path: path.write_text("<!DOCTYPE html><html>403 Forbidden</html>"), "HTML"),
    "nothing": (lambda path: path.write_bytes(b""), "empty"),
    "a plain file with the name of a packed one": (unpacked, "rename it to P1.nii"),
    "a packed text": (lambda path: path.write_bytes(gzip.compress(b"some text" * 99)), "not a NIfTI"),
}


@fault("F2", "a flipped bit, HTML, nothing, a plain file or a text under `.nii.gz`", then="3, what it really is")
@pytest.mark.parametrize("what", OTHERWISE)
def test_a_file_that_is_something_else_is_told_as_what_it_is(tmp_path: Path, what: str) -> None:
    config = small_study(tmp_path)
    spoil, words = OTHERWISE[what]
    spoil(image_of(config))
    text = faults_of(config)
    assert words in text
    assert str(image_of(config)) in text


HEADERS: dict[str, tuple[dict[str, object], str]] = {
    "32000^3": ({"dim": [3, 32000, 32000, 32000, 1, 1, 1, 1]}, "32000x32000x32000"),
    "a spacing of 0": ({"pixdim": [1, 1, 0, 1, 1, 1, 1, 1]}, "spacing is not positive"),
    "a negative spacing": ({"pixdim": [1, 1, -2, 1, 1, 1, 1, 1]}, "spacing is not positive"),
    "five axes": ({"dim": [5, 16, 16, 2, 2, 3, 1, 1]}, "shape"),
    "a fourth axis for one channel": ({"dim": [4, 16, 16, 6, 2, 1, 1, 1]}, "2 channels, not 1"),
    "colours": ({"datatype": 128, "bitpix": 24}, "colours"),
}


@fault("F3", "32000^3 voxels, spacings of 0 and -2, 4D, 5D, RGB", then="3, before anything is allocated")
@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_makes_no_scan(tmp_path: Path, what: str) -> None:
    config = small_study(tmp_path)
    fields, words = HEADERS[what]
    path = image_of(config)
    data = bytearray(gzip.decompress(path.read_bytes()))
    header = nibabel.Nifti1Header(bytes(data[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    data[:348] = header.binaryblock
    path.write_bytes(gzip.compress(bytes(data)))
    text = faults_of(config)
    assert words in text
    assert "P1" in text


@fault("F3", "an image of one slice among volumes", then="read as a scan of one slice (README, 2D)")
def test_a_scan_of_two_axes_is_one_slice(tmp_path: Path) -> None:
    path = tmp_path / "slice.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((5, 4), np.int16), np.eye(4)), path)
    assert "5x4x1" in answer("info", path)["grid"]


@fault("F4", "infinite voxels, and NaN in a mask", then="3, their number; no value is put in their place")
@pytest.mark.parametrize("where", ["image", "label"])
def test_voxels_that_are_no_numbers_are_counted(tmp_path: Path, where: str) -> None:
    config = small_study(tmp_path)
    path = image_of(config) if where == "image" else label_of(config)
    array = np.zeros(GRIDS[1].shape)
    array[3, 4, 5], array[5, 4, 3] = np.inf, np.nan
    write_image(path, array, GRIDS[1])
    text = faults_of(config)
    assert "2 of 3072 voxels" in text
    assert str(path) in text


@fault("F11", "`x.nii` beside `x.nii.gz`", then="3, both are named: which of them is the case, nobody knows")
def test_two_files_of_one_case_are_named(tmp_path: Path) -> None:
    config = small_study(tmp_path)
    other = image_of(config).with_name("P1.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), other)
    text = faults_of(config)
    assert str(other) in text or "P1.nii " in text or "P1.nii," in text


@fault("F11", "names with spaces, accents, CJK and 240 characters", then="0, the masks have the same names")
def test_odd_names_are_names(trained, tmp_path: Path) -> None:
    names = ["a b", "Ünal-Çelik é", "患者 7", "x" * 240, "-q", "50%", "{case}", "a'b\"c"]
    images = tmp_path / "odd folder é"
    images.mkdir()
    for name in names:
        shutil.copy(image_of(trained.config, "P0"), images / f"{name}.nii.gz")
    out = tmp_path / "out put"
    told = answer("predict", "--run", trained.run, "--images", images, "--out", out)
    assert told["cases"] == len(names)
    assert sorted(path.name for path in (out / "predictions").iterdir()) == sorted(f"{name}.nii.gz" for name in names)


@fault("F11", "masks are to be written over the scans", then="2, refused; the scans stay as they are")
def test_no_mask_is_written_over_a_scan(trained, tmp_path: Path) -> None:
    images = tmp_path / "predictions"
    shutil.copytree(trained.root / "images", images)
    before = contents(images)
    for flags in ((), ("--overwrite",)):
        refused("predict", "--run", trained.run, "--images", images, "--out", tmp_path, *flags, code=2)
    assert contents(images) == before


@fault("F11", "a link in place of an output", then="0, the link is replaced and what it points at is kept")
def test_a_link_is_not_written_through(trained, tmp_path: Path) -> None:
    mine, out = tmp_path / "mine.csv", tmp_path / "out"
    mine.write_text("mine")
    out.mkdir()
    (out / "volumes.csv.bak").write_text("kept")
    (out / "log.txt").symlink_to(mine)
    with inputs_untouched(trained.config):
        done("predict", "--run", trained.run, "--images", trained.root / "images", "--out", out)
    assert mine.read_text() == "mine"
    assert {"volumes.csv", "volumes.csv.bak", "log.txt"} <= {*files_in(out)}
