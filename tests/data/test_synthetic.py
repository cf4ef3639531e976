import numpy as np
import pytest

from segtrain.core.case import ScanSource
from segtrain.data.cases import find_cases
from segtrain.data.read import read_labels, read_volume
from segtrain.data.same_grid import require_same_grid
from segtrain.data.settings import DataSettings
from segtrain.data.splits import split_folds
from segtrain.data.synthetic import LABELS, demo_scan, write_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return folder


def found(folder):
    return find_cases(DataSettings(images=folder / "images", labels=folder / "labels", patient_from=r"(P\d+)_"))


def test_18_cases_train_and_6_of_other_patients_test(demo):
    training, test = found(demo), found(demo / "test")
    assert (len(training), len(test)) == (18, 6)
    patients = [{c.patient for c in side} for side in (training, test)]
    assert (len(patients[0]), len(patients[1])) == (12, 4)
    assert not patients[0] & patients[1]
    assert len(split_folds(training, 5, 0).folds) == 5


def test_masks_lie_on_their_scans_and_hold_the_declared_labels(demo):
    lesions = []
    for case in found(demo) + found(demo / "test"):
        image, labels = read_volume(case.images), read_labels(case.label)
        assert require_same_grid(image.grid, labels.grid, case.id) is None
        counts = np.bincount(labels.array.ravel(), minlength=4)
        assert len(counts) == 4
        assert counts[LABELS["liver"]] > counts[LABELS["kidney"]] > 0
        lesions.append(counts[LABELS["lesion"]] * labels.grid.voxel_volume_ml)
    assert min(lesions) == 0
    assert 0.1 < np.median(lesions) < 1.5


def test_grids_are_anisotropic_of_many_spacings_and_some_oblique(demo):
    grids = [read_volume([ScanSource(p)]).grid for p in sorted(demo.rglob("images/*.nii.gz"))]
    spacings = np.array([g.spacing_mm for g in grids])
    assert (spacings[:, :2] >= 0.89).all()
    assert (spacings[:, :2] <= 1.31).all()
    assert (spacings[:, 2] / spacings[:, 0]).min() > 1.4
    assert len(np.unique(spacings[:, 2].round(2))) > 12
    oblique = [np.count_nonzero(np.abs(g.affine[:3, :3]) > 1e-4) > 3 for g in grids]
    assert 0 < sum(oblique) < len(grids)
    assert {g.affine[0, 0] > 0 for g in grids} == {True, False}


def test_labels_can_be_seen_in_the_scan(demo):
    for case in found(demo)[:6]:
        image, labels = read_volume(case.images).array[0], read_labels(case.label).array
        means = [image[labels == k].mean() for k in (1, 2)]
        assert means[1] > means[0] > image[labels == 0].mean()
        if (labels == 3).any():
            assert image[labels == 3].mean() < means[1]


def test_a_seed_gives_equal_files_and_another_one_others(demo, tmp_path):
    write_demo(tmp_path / "again")
    names = sorted(p.relative_to(demo) for p in demo.rglob("*.nii.gz"))
    assert len(names) == 48
    assert all((demo / n).read_bytes() == (tmp_path / "again" / n).read_bytes() for n in names)
    assert not np.array_equal(demo_scan(1, 0, seed=0)[0].grid.affine, demo_scan(1, 0, seed=1)[0].grid.affine)


def test_two_time_points_show_one_anatomy():
    volumes = [
        [(labels.array == k).sum() * labels.grid.voxel_volume_ml for k in (1, 2)]
        for labels in (demo_scan(7, 0)[1], demo_scan(7, 1)[1])
    ]
    np.testing.assert_allclose(volumes[0], volumes[1], rtol=0.1)
