import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError, GridMismatch, UnreadableScan
from segtrain.core.grid import Grid
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap, Volume
from segtrain.data.dicom.headers import list_series
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from segtrain.data.read import Canvas, common_grid, drawing_of, kind_of, read_labels, read_volume, structures_of
from segtrain.data.same_grid import require_same_grid
from segtrain.data.sources import source_hash
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.rtstruct_phantoms import outline, write_rtstruct

TASK = Task(labels={"background": 0, "organ": 1, "lesion": 4}, ignore=9)
GRID = phantoms.grid((5, 4, 3), degrees=10)


def image(path, array=None, grid=GRID) -> ScanSource:
    array = np.arange(60, dtype=np.int16).reshape(5, 4, 3) if array is None else array
    write_nifti_image(path, Volume(array[None] if array.ndim == 3 else array, grid))
    return ScanSource(path)


def moved(grid, voxels):
    """The grid, pushed along its first axis."""
    affine = grid.affine.copy()
    affine[:3, 3] += voxels * affine[:3, 0]
    return Grid(grid.shape, affine)


def test_a_file_and_a_folder_are_told_apart_by_looking(tmp_path):
    write_series(tmp_path / "series.nii")
    assert kind_of(image(tmp_path / "a.nii.gz").path) == "nifti"
    assert kind_of(tmp_path / "series.nii") == "dicom"
    assert read_volume([ScanSource(tmp_path / "series.nii")]).grid.same_space(
        read_volume([ScanSource(tmp_path / "series.nii")]).grid
    )


def test_what_is_not_there_or_of_another_kind_is_refused(tmp_path):
    with pytest.raises(UnreadableScan, match="no such scan"):
        read_volume([ScanSource(tmp_path / "a.nii.gz")])
    (tmp_path / "a.nrrd").write_text("NRRD0004")
    with pytest.raises(UnreadableScan, match=r"\.nrrd"):
        read_volume([ScanSource(tmp_path / "a.nrrd")])


def test_channels_come_in_the_order_of_the_sources(tmp_path):
    a, b = image(tmp_path / "a.nii.gz"), image(tmp_path / "b.nii.gz", np.ones((5, 4, 3), np.uint8))
    volume = read_volume([a, b])
    assert volume.array.dtype == np.int16
    assert volume.array[:, 4, 3, 2].tolist() == [59, 1]
    assert read_volume([b, a]).array[:, 4, 3, 2].tolist() == [1, 59]


def test_a_scan_tells_its_series_where_all_channels_are_dicom(tmp_path):
    for name in ("a", "b"):
        write_series(tmp_path / name, uid=f"1.2.{name == 'b':d}")
    dicom = [ScanSource(tmp_path / name) for name in ("a", "b")]
    first = read_volume(dicom[:1])
    origins = read_volume(dicom).origins
    assert [(origin.series_uid, origin.frame_uid) for origin in origins] == [("1.2.0", "1.2.3"), ("1.2.1", "1.2.3")]
    assert [len(origin.instance_uids) for origin in origins] == [4, 4]
    converted = image(tmp_path / "b.nii", first.array, first.grid)
    assert read_volume([dicom[0], converted]).origins == ()


def test_what_is_wrong_with_every_channel_is_told_at_once(tmp_path):
    sources = [ScanSource(tmp_path / "gone.nii.gz"), image(tmp_path / "b.nii.gz"), ScanSource(tmp_path / "c.nii.gz")]
    sources[2].path.write_bytes(b"no scan")
    with pytest.raises(UnreadableScan) as refused:
        read_volume(sources)
    first, second = refused.value.problems
    assert "gone.nii.gz" in first.where
    assert "c.nii.gz" in second.where


def test_integers_beside_fractions_become_single_precision(tmp_path):
    a, b = image(tmp_path / "a.nii"), image(tmp_path / "b.nii", np.full((5, 4, 3), 0.5, np.float32))
    assert read_volume([a, b]).array.dtype == np.float32


def test_channels_on_two_grids_name_both_files_and_their_distance(tmp_path):
    a, b = image(tmp_path / "a.nii.gz"), image(tmp_path / "b.nii.gz", grid=moved(GRID, 2))
    with pytest.raises(GridMismatch) as error:
        read_volume([a, b])
    for word in ("a.nii.gz", "b.nii.gz", "2 voxels", "2 mm"):
        assert word in str(error.value)
    c = image(tmp_path / "c.nii.gz", np.zeros((5, 4, 2), np.int16), Grid((5, 4, 2), GRID.affine))
    with pytest.raises(GridMismatch, match="shapes differ"):
        read_volume([a, c])


def test_a_dicom_channel_and_a_nifti_mask_may_lie_on_one_grid(tmp_path):
    write_series(tmp_path / "s")
    grid = read_volume([ScanSource(tmp_path / "s")]).grid
    write_nifti(tmp_path / "mask.nii.gz", LabelMap(np.ones(grid.shape, np.uint8), grid))
    assert require_same_grid(grid, read_labels(ScanSource(tmp_path / "mask.nii.gz")).grid) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_whole_numbers_of_any_type_are_labels(tmp_path, dtype):
    array = np.zeros((5, 4, 3), dtype)
    array[0, 0] = 1, 4, 9
    labels = read_labels(image(tmp_path / "a.nii.gz", array), TASK)
    assert labels.array.dtype.kind in "iu"
    assert sorted(np.unique(labels.array)) == [0, 1, 4, 9]


def test_an_empty_mask_is_a_mask(tmp_path):
    assert not read_labels(image(tmp_path / "a.nii.gz", np.zeros((5, 4, 3), np.uint8)), TASK).array.any()


@pytest.mark.parametrize("value", [0.9999, 0.5, -0.25])
def test_fractions_are_no_labels(tmp_path, value):
    array = np.zeros((5, 4, 3), np.float32)
    array[1, 1, 1] = value
    with pytest.raises(DataError, match=f"no whole number in 1 voxel, as {value}"):
        read_labels(image(tmp_path / "a.nii.gz", array), TASK)


@pytest.mark.parametrize("value", [255, -1, 300, 2])
def test_ids_that_the_task_does_not_know_are_listed_with_their_counts(tmp_path, value):
    array = np.zeros((5, 4, 3), np.int16)
    array[0, 0] = 1, value, value
    source = image(tmp_path / "a.nii.gz", array)
    with pytest.raises(DataError) as error:
        read_labels(source, TASK)
    for word in (f"{value} (2 voxels)", "a.nii.gz", f"add NAME: {value} to task.labels", "organ: 1", "task.ignore"):
        assert word in str(error.value)
    assert read_labels(source).array.max() >= 1


def hint_of(source, task):
    with pytest.raises(DataError) as refused:
        read_labels(source, task)
    return refused.value.problems[0].hint


def test_what_the_command_mends_is_told_with_it(tmp_path):
    """0.9999 and 255 are mended by it; a half is not, nor a second value."""
    one = Task(labels={"background": 0, "organ": 1})
    array = np.zeros((5, 4, 3), np.float32)
    hints = []
    for values in ((0.9999, 1), (0.5, 1), (255, 255), (255, 1)):
        array[0, 0, :2] = values
        hints.append(hint_of(image(tmp_path / "a.nii.gz", array), one))
    assert [hint.startswith("`segtrain check --fix DIR`") for hint in hints] == [True, False, True, False]
    assert hints[2].startswith("`segtrain check --fix DIR` writes 1 for it; or add NAME: 255 to task.labels")


def test_a_mask_of_several_volumes_is_refused(tmp_path):
    with pytest.raises(DataError, match="2 entries"):
        read_labels(image(tmp_path / "a.nii.gz", np.zeros((2, 5, 4, 3), np.uint8)))


def test_the_planted_label_on_another_grid_is_refused():
    scan = phantoms.real_data("hippocampus") / "images" / "hippocampus_001.nii.gz"
    label = phantoms.real_data("awkward") / "nifti" / "planted_defects" / "labels" / "hippocampus_281.nii.gz"
    with pytest.raises(GridMismatch, match="512x512x94"):
        require_same_grid(read_volume([ScanSource(scan)]).grid, read_volume([ScanSource(label)]).grid, "281")


def test_a_real_study_is_read_as_two_channels_with_its_mask():
    study = phantoms.real_data("pgbm_dicom") / "PGBM-001" / "04-02-1992"
    volume = read_volume([ScanSource(study / "T1post"), ScanSource(study / "FLAIRreg")])
    labels = read_labels(ScanSource(study / "MaskTumor"), Task(labels={"background": 0, "tumour": 1}))
    assert volume.array.shape == (2, 260, 320, 24)
    assert require_same_grid(volume.grid, labels.grid, "PGBM-001") is None
    assert labels.array.sum() * labels.grid.voxel_volume_ml == pytest.approx(20.9, abs=0.1)


def test_every_kind_of_file_is_read_on_one_grid(tmp_path):
    """One scan in every form that holds a grid: `.mhd` and `.nhdr` with their voxels beside them."""
    volume = Volume(np.arange(60, dtype=np.int16).reshape(1, 5, 4, 3), GRID)
    write_nifti_image(tmp_path / "a.nii.gz", volume)
    judge = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    for name in ("a.mha", "a.mhd", "a.nrrd", "a.nhdr"):
        sitk.WriteImage(judge, str(tmp_path / name), useCompression=name == "a.nhdr")
        found = read_volume([ScanSource(tmp_path / name)])
        np.testing.assert_array_equal(found.array, volume.array)
        assert found.grid.same_space(GRID)
        assert read_labels(ScanSource(tmp_path / name)).grid.same_space(GRID)


def test_a_file_of_dicom_needs_no_suffix(tmp_path):
    (first, *_) = write_series(tmp_path / "s")
    first.rename(tmp_path / "1-01")
    assert kind_of(tmp_path / "1-01") == "dicom"
    assert read_volume([ScanSource(tmp_path / "1-01")]).grid.shape == (5, 6, 1)


def test_a_palette_is_looked_up_for_a_scan_and_not_for_a_mask(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    picture.putpalette([value for n in range(256) for value in (100 * n % 256,) * 3])
    picture.save(tmp_path / "a.png")
    assert read_volume([ScanSource(tmp_path / "a.png")]).array.ravel().tolist() == [0, 200, 100, 100]
    assert read_labels(ScanSource(tmp_path / "a.png")).array.ravel().tolist() == [0, 2, 1, 1]


def drawn(tmp_path, at=(0, 1)):
    """A series, and an RTSTRUCT of a square on some of its slices."""
    write_series(tmp_path / "s")
    grid = read_volume([ScanSource(tmp_path / "s")]).grid
    square = [[0.5, 0.5], [3.5, 0.5], [3.5, 3.5], [0.5, 3.5]]
    path = write_rtstruct(tmp_path / "rt.dcm", {"Organ": [outline(grid, square, z) for z in at]})
    return path, grid


def test_a_structure_becomes_a_label_of_the_task_on_the_grid_of_the_scan(tmp_path):
    path, grid = drawn(tmp_path)
    mask = read_labels(ScanSource(path), TASK, canvas=Canvas.of(TASK, grid))
    assert mask.notes == ("taken to be absent: lesion",)
    assert (mask.array == 1).sum(axis=(0, 1)).tolist() == [9, 9, 0, 0]
    assert structures_of(drawing_of(path)) == ["Organ"]
    with pytest.raises(DataError, match="has no voxels"):
        read_labels(ScanSource(path), TASK)


def test_two_masks_of_which_one_was_drawn_lie_on_the_grid_of_the_other(tmp_path):
    path, grid = drawn(tmp_path)
    write_nifti(tmp_path / "m.nii.gz", LabelMap(np.ones(grid.shape, np.uint8), grid))
    for pair in ((path, tmp_path / "m.nii.gz"), (tmp_path / "m.nii.gz", path)):
        assert common_grid(*pair).same_space(grid)
    assert common_grid(tmp_path / "m.nii.gz", None) is None
    assert common_grid(path, None) is None


def test_a_patient_is_in_nothing_that_leaves_the_border(tmp_path):
    """F33: PatientName, PatientID and the dates of a canary, in volumes, masks, notes, errors and hashes."""
    path, grid = drawn(tmp_path)
    write_series(tmp_path / "two", (0, 2.5), PatientBirthDate="19560229", StudyDate="19990101")
    write_series(tmp_path / "gap", (0, 2.5, 7.5), PatientBirthDate="19560229")
    case = Case("a", "p", (ScanSource(tmp_path / "two"),), ScanSource(path))
    shown = [repr(read_volume(case.images)), repr(read_labels(case.label, canvas=Canvas.of(TASK, grid)))]
    shown += [source_hash(case), repr(drawing_of(path)), repr(list_series(tmp_path / "two"))]
    for broken in (tmp_path / "gap", tmp_path):
        with pytest.raises(UnreadableScan) as error:
            read_volume([ScanSource(broken)])
        shown.append(str(error.value))
    for canary in ("Canary", "Tweety", "4711", "19560229", "19990101"):
        assert canary not in "".join(shown)
