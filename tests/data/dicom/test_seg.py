"""Masks as DICOM SEG. Judges: the volume that highdicom reads, and the slices that frames say they were made of."""

from __future__ import annotations

import itertools
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import highdicom.seg
import numpy as np
import pydicom
import pytest
from highdicom.color import CIELabColor
from highdicom.seg import segread
from scipy.spatial.transform import Rotation

from segtrain.core.case import ScanSource
from segtrain.core.codes import Codes, Term
from segtrain.core.colours import label_colour
from segtrain.core.errors import ConfigError, DataError
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.dicom.scan import checked_series
from segtrain.data.dicom.seg import MOST_BINARY, require_segments, write_seg
from segtrain.data.read import read_labels
from tests.data.dicom_phantoms import write_on_grid, write_series
from tests.faults.table import fault
from tests.phantoms import real_data

SHAPE = (6, 5, 4)
TASK = Task(labels={"background": 0, "organ": 2, "tumour": 300, "nowhere": 7})
NUMBERS = {"organ": 1, "nowhere": 2, "tumour": 3}
"""In the order of their ids."""


def series_on(folder: Path, turn: np.ndarray, shape=SHAPE) -> ScanSource:
    """A series whose rows, columns and slices lie along the axes of `turn`."""
    affine = np.eye(4)
    affine[:3, :3] = turn * (0.8, 1.1, 2.5)
    affine[:3, 3] = -93.7, 121.3, -412.6
    write_on_grid(folder, np.zeros(shape), Grid(shape, affine))
    return ScanSource(folder)


def grid_of(source: ScanSource) -> Grid:
    return checked_series(source.path, source.series_uid).grid


def drawn_on(source: ScanSource, seed: int = 0) -> LabelMap:
    """Random voxels of two labels, without any symmetry."""
    grid = grid_of(source)
    return LabelMap(np.random.default_rng(seed).choice([0, 2, 300], grid.shape, p=[0.7, 0.2, 0.1]), grid)


def by_highdicom(path: Path, grid: Grid) -> np.ndarray:
    """Segment numbers on a grid, placed by the affine that highdicom finds."""
    volume = segread(path).get_volume(combine_segments=True)
    placed = np.zeros(grid.shape, int)
    to_index = np.linalg.inv(grid.affine) @ np.diag([-1, -1, 1, 1]) @ volume.affine
    for index in np.argwhere(volume.array):
        at = (to_index @ [*index, 1])[:3]
        assert np.abs(at - np.round(at)).max() < 0.01
        placed[tuple(np.round(at).astype(int))] = volume.array[tuple(index)]
    return placed


def by_references(path: Path, series: Path, labels: LabelMap) -> None:
    """Each frame holds what was drawn on the very slice that it says it was made from."""
    data = pydicom.dcmread(path)
    files = {str(pydicom.dcmread(p).SOPInstanceUID): p for p in series.iterdir()}
    count = data.Rows * data.Columns
    bits = np.unpackbits(np.frombuffer(data.PixelData, np.uint8), bitorder="little")
    frames = bits[: count * data.NumberOfFrames].reshape(-1, data.Rows, data.Columns)
    ids = {number: TASK.labels[name] for name, number in NUMBERS.items()}
    for frame, groups in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        (of,) = groups.DerivationImageSequence[0].SourceImageSequence
        place = pydicom.dcmread(files[of.ReferencedSOPInstanceUID]).ImagePositionPatient
        first = np.linalg.inv(labels.grid.affine) @ [-place[0], -place[1], place[2], 1]
        np.testing.assert_allclose(first[:2], 0, atol=1e-3)
        wanted = ids[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        np.testing.assert_array_equal(frame, wanted == labels.array[:, :, round(first[2])].T)


def signed_permutations():
    """All 48: axial, coronal and sagittal, rows and columns either way, and slices in either order."""
    for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        turn = np.zeros((3, 3))
        turn[order, range(3)] = signs
        yield turn


OBLIQUE = [Rotation.from_euler("xyz", angles, degrees=True).as_matrix() for angles in ((12, -23, 34), (-7, 41, 160))]


@pytest.mark.parametrize("turn", [*signed_permutations(), *OBLIQUE, OBLIQUE[0] * (1, -1, 1)])
@fault("F10", "orientations as DICOM SEG", then="kept, centroids within half a voxel")
def test_a_mask_lies_on_its_scan_whatever_its_orientation(tmp_path, turn):
    source = series_on(tmp_path / "ct", turn)
    labels = drawn_on(source)
    write_seg(tmp_path / "mask.dcm", labels, source, TASK, model="first")
    found = by_highdicom(tmp_path / "mask.dcm", labels.grid)
    for name, number in NUMBERS.items():
        np.testing.assert_array_equal(found == number, labels.array == TASK.labels[name])
    by_references(tmp_path / "mask.dcm", tmp_path / "ct", labels)


def test_it_refers_to_its_series_and_says_who_drew_what(tmp_path):
    source = ScanSource(tmp_path / "ct")
    files = write_series(tmp_path / "ct")
    codes = {
        "tumour": Codes(
            type=Term(value="108369006", meaning="Neoplasm"),
            category=Term(value="49755003", meaning="Morphologically Abnormal Structure"),
            region=Term(value="12738006", meaning="Brain"),
        ),
        "organ": Codes(type=Term(value="12738006", meaning="Brain")),
    }
    task = Task(labels=TASK.labels, codes=codes)
    write_seg(tmp_path / "mask.dcm", drawn_on(source), source, task, model="runs/first")
    seg, scan = pydicom.dcmread(tmp_path / "mask.dcm"), pydicom.dcmread(files[0])
    for name in ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName"):
        assert seg[name].value == scan[name].value
    assert (seg.Modality, seg.SegmentationType, seg.Manufacturer) == ("SEG", "BINARY", "segtrain")
    assert seg.SeriesInstanceUID != scan.SeriesInstanceUID
    (series,) = seg.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == scan.SeriesInstanceUID
    referred = {of.ReferencedSOPInstanceUID for of in series.ReferencedInstanceSequence}
    assert referred == {pydicom.dcmread(file).SOPInstanceUID for file in files}
    segments = list(seg.SegmentSequence)
    assert {s.SegmentLabel: s.SegmentNumber for s in segments} == NUMBERS
    types = [s.SegmentedPropertyTypeCodeSequence[0] for s in segments]
    assert [t.CodeMeaning for t in types] == ["Brain", "Tissue", "Neoplasm"]
    assert [t.CodeValue for t in types] == ["12738006", "85756007", "108369006"]
    kinds = [s.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning for s in segments]
    assert kinds == ["Anatomical Structure", "Tissue", "Morphologically Abnormal Structure"]
    assert segments[2].AnatomicRegionSequence[0].CodeMeaning == "Brain"
    colours = [CIELabColor.from_dicom_value(s.RecommendedDisplayCIELabValue).to_rgb() for s in segments]
    np.testing.assert_allclose(colours, [[255 * share for share in label_colour(n)] for n in range(3)], atol=1)
    by = segments[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (by.AlgorithmName, by.AlgorithmParameters) == ("segtrain", "run=runs/first")
    assert segments[0].SegmentAlgorithmType == "AUTOMATIC"


def test_many_labels_are_a_label_map(tmp_path):
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct")
    grid = grid_of(source)
    for count, kind in ((MOST_BINARY, "BINARY"), (MOST_BINARY + 1, "LABELMAP")):
        task = Task(labels={"background": 0, **{f"part {n}": n for n in range(1, count + 1)}})
        array = np.arange(np.prod(grid.shape)).reshape(grid.shape) % (count + 1)
        write_seg(tmp_path / f"{kind}.dcm", LabelMap(array, grid), source, task, model="m")
        assert pydicom.dcmread(tmp_path / f"{kind}.dcm").SegmentationType == kind
        np.testing.assert_array_equal(by_highdicom(tmp_path / f"{kind}.dcm", grid), array)


@pytest.mark.parametrize("where", [np.s_[:0], np.s_[2:4, 1:3, 2:3]], ids=["nowhere", "one slice"])
def test_a_mask_may_be_nearly_or_wholly_empty(tmp_path, where):
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct")
    grid = grid_of(source)
    array = np.zeros(grid.shape, np.uint16)
    array[where] = 2
    write_seg(tmp_path / "mask.dcm", LabelMap(array, grid), source, TASK, model="m")
    np.testing.assert_array_equal(by_highdicom(tmp_path / "mask.dcm", grid), array // 2)


def test_a_series_may_have_one_slice_or_uneven_ones_within_its_tolerance(tmp_path):
    for name, heights in (("one", (0,)), ("uneven", (0, 2.51, 5, 7.49))):
        source = ScanSource(tmp_path / name)
        write_series(source.path, heights)
        labels = drawn_on(source)
        write_seg(tmp_path / f"{name}.dcm", labels, source, TASK, model="m")
        by_references(tmp_path / f"{name}.dcm", source.path, labels)


def test_a_series_among_others_is_meant_by_its_uid(tmp_path):
    write_series(tmp_path / "ct" / "a", uid="1.2.1")
    write_series(tmp_path / "ct" / "b", heights_mm=(3, 4, 5), uid="1.2.2")
    source = ScanSource(tmp_path / "ct", "1.2.2")
    write_seg(tmp_path / "mask.dcm", drawn_on(source), source, TASK, model="m")
    assert pydicom.dcmread(tmp_path / "mask.dcm").ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.2"


def test_names_may_have_any_letters(tmp_path):
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct", SpecificCharacterSet="ISO_IR 100", PatientName="Bödeker^Ägidius")
    task = Task(labels={"background": 0, "tümör": 2, "腫瘍": 300})
    write_seg(tmp_path / "mask.dcm", drawn_on(source), source, task, model="m")
    seg = pydicom.dcmread(tmp_path / "mask.dcm")
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["tümör", "腫瘍"]
    assert str(seg.PatientName) == "Bödeker^Ägidius"


def test_sloppy_headers_are_no_reason_to_fail(tmp_path, capfd):
    source = ScanSource(tmp_path / "ct")
    odd = {"PatientSex": "X", "StudyDate": None, "PatientBirthDate": None, "PatientName": "Tweety^a^b^c^d^e^f"}
    write_series(tmp_path / "ct", **odd)
    write_seg(tmp_path / "mask.dcm", drawn_on(source), source, TASK, model="m")
    seg = pydicom.dcmread(tmp_path / "mask.dcm")
    assert (seg.PatientSex, seg.StudyDate, str(seg.PatientName)) == ("", "", odd["PatientName"])
    assert "Tweety" not in "".join(capfd.readouterr())


@fault("F33", "paths in a SEG that is written", then="kept out of the file")
def test_nothing_of_the_disk_is_in_the_file(tmp_path):
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct")
    write_seg(tmp_path / "mask.dcm", drawn_on(source), source, TASK, model="m")
    assert str(tmp_path).encode() not in (tmp_path / "mask.dcm").read_bytes()


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_series_to_which_nothing_can_refer_is_refused(tmp_path, missing):
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct", **{missing: None})
    with pytest.raises(DataError, match=f"its slices have no {missing}") as error:
        write_seg(tmp_path / "mask.dcm", drawn_on(source), source, TASK, model="m")
    assert len(error.value.problems) == 1
    assert not (tmp_path / "mask.dcm").exists()


def test_a_series_whose_slices_have_one_uid_is_refused(tmp_path):
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct", SOPInstanceUID="1.2.9.1")
    with pytest.raises(DataError, match=r"no DICOM SEG can refer to this series[\s\S]*one SOPInstanceUID"):
        write_seg(tmp_path / "mask.dcm", drawn_on(source), source, TASK, model="m")


def test_a_class_of_scans_that_highdicom_does_not_know_is_refused(tmp_path):
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct", SOPClassUID="1.2.3.4.5")
    with pytest.raises(DataError, match="no DICOM SEG can refer to this series"):
        write_seg(tmp_path / "mask.dcm", drawn_on(source), source, TASK, model="m")


@pytest.mark.parametrize("axis", [0, 1, 2])
@fault("F10", "a SEG that would be mirrored", then="refused before it is written")
def test_a_mirrored_mask_never_leaves_the_house(tmp_path, monkeypatch, axis):
    honest = highdicom.seg.Segmentation

    def mirrored(*, pixel_array, **rest):
        return honest(pixel_array=np.flip(pixel_array, axis).copy(), **rest)

    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct")
    labels = drawn_on(source)
    monkeypatch.setattr(highdicom.seg, "Segmentation", mirrored)
    with pytest.raises(DataError, match="does not hold the mask") as error:
        write_seg(tmp_path / "out" / "mask.dcm", labels, source, TASK, model="m")
    assert "its centre" in str(error.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_mask_of_another_grid_or_task_is_a_bug(tmp_path):
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct")
    labels = drawn_on(source)
    moved = LabelMap(labels.array, Grid(labels.grid.shape, np.diag([1, 1, 1, 1])))
    with pytest.raises(ValueError, match="not on the grid"):
        write_seg(tmp_path / "mask.dcm", moved, source, TASK, model="m")
    with pytest.raises(ValueError, match="are no labels"):
        write_seg(tmp_path / "mask.dcm", LabelMap(labels.array * 0 + 1, labels.grid), source, TASK, model="m")


def test_names_that_dicom_cannot_hold_are_listed_together():
    names = ["a" * 65, "left\\right", "two\nlines", " ", "fine"]
    task = Task(labels={"background": 0, **{name: n for n, name in enumerate(names, 1)}})
    with pytest.raises(ConfigError) as error:
        require_segments(task)
    assert [p.where.removeprefix("task.labels.") for p in error.value.problems] == names[:4]


def test_tumours_of_real_scans(tmp_path):
    studies = sorted(path.parent for path in real_data("pgbm_dicom").rglob("T1post"))
    assert studies
    task = Task(labels={"background": 0, "tumour": 1})
    for number, study in enumerate(studies):
        source = ScanSource(study / "T1post")
        mask = read_labels(ScanSource(study / "MaskTumor"))
        labels = LabelMap(mask.array, grid_of(source))
        write_seg(tmp_path / f"{number}.dcm", labels, source, task, model="m")
        np.testing.assert_array_equal(by_highdicom(tmp_path / f"{number}.dcm", labels.grid), labels.array)


def test_a_mask_may_be_written_while_other_scans_are_read(tmp_path):
    """Warnings and the mode of pydicom are of the whole process: neither is left as another thread had it."""
    source = ScanSource(tmp_path / "ct")
    write_series(tmp_path / "ct", PatientName="a^b^c^d^e^f^g")
    labels, mode = drawn_on(source), pydicom.config.settings.reading_validation_mode
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as threads:
        jobs = [
            threads.submit(write_seg, tmp_path / f"{n}.dcm", labels, source, TASK, model="m")
            if n % 2
            else threads.submit(checked_series, source.path, "")
            for n in range(12)
        ]
        for job in jobs:
            job.result()
    assert pydicom.config.settings.reading_validation_mode == mode
    assert warnings.filters == before
