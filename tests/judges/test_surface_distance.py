"""Boundary metrics against DeepMind's surface-distance and MONAI, which share their definitions with ours."""

import numpy as np
import pytest

from segtrain.metrics import score
from tests.phantoms import ellipsoid, grid

judge = pytest.importorskip("surface_distance", reason="pip install 'segtrain[judges]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NAMES = ("hd95", "hd", "assd", "masd", "nsd")


def shifted(axis=0, by=3):
    on = grid((22, 18, 14))
    mask = ellipsoid(on)
    return mask, np.roll(mask, by, axis)


def rough(seed, share=0.02):
    rng = np.random.default_rng(seed)
    on = grid((16, 20, 12))
    return tuple(ellipsoid(on) ^ (rng.random(on.shape) < share) for _ in range(2))


def touching_the_edge():
    on = grid((12, 12, 12))
    return ellipsoid(on, (0.1, 0.5, 0.9)), ellipsoid(on, (0.2, 0.4, 0.95))


def one_voxel(at, of=(9, 9, 9)):
    a, b = np.zeros((2, *of), bool)
    a[0, 0, 0], b[at] = True, True
    return a, b


def an_island():
    a, _ = shifted()
    b = a.copy()
    b[0, 0, 0] = True
    return b, a


SCENES = {
    "shifted": shifted(),
    "shifted along a thick axis": shifted(2, 2),
    "rough": rough(0),
    "rough again": rough(1, 0.1),
    "touching the edge": touching_the_edge(),
    "one voxel": one_voxel((8, 3, 5)),
    "neighbours": one_voxel((0, 0, 1)),
    "an island far away": an_island(),
    "the whole image": (np.ones((5, 6, 7), bool), rough(2)[0][:5, :6, :7]),
    "a plane": tuple(m[:, :, 6] for m in rough(3)),
}


def expected(prediction, reference, spacing_mm, tolerance_mm):
    found = judge.compute_surface_distances(reference, prediction, spacing_mm)
    directed = judge.compute_average_surface_distance(found)
    weights = found["surfel_areas_gt"].sum(), found["surfel_areas_pred"].sum()
    return {
        "hd95": judge.compute_robust_hausdorff(found, 95),
        "hd": judge.compute_robust_hausdorff(found, 100),
        "assd": np.dot(directed, weights) / sum(weights),
        "masd": np.mean(directed),
        "nsd": judge.compute_surface_dice_at_tolerance(found, tolerance_mm),
    }


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (0.7, 0.7, 2.5)])
@pytest.mark.parametrize("scene", SCENES)
def test_equal_to_surface_distance(scene, spacing_mm):
    prediction, reference = SCENES[scene]
    spacing = spacing_mm[: prediction.ndim]
    for tolerance_mm in (0.93, 2.17):
        ours = score(prediction, reference, spacing, metrics=NAMES, nsd_tolerance_mm=tolerance_mm)["1"]
        theirs = expected(prediction, reference, spacing, tolerance_mm)
        assert {name: ours[name].value for name in NAMES} == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("scene", [name for name in SCENES if name != "a plane"])
def test_nsd_is_monais_with_subvoxels(scene):
    torch, monai = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    prediction, reference = (torch.from_numpy(m[None, None]) for m in SCENES[scene])
    spacing = (0.7, 0.7, 2.5)
    theirs = monai.compute_surface_dice(
        prediction, reference, [1.1], include_background=True, spacing=spacing, use_subvoxels=True
    )
    ours = score(*SCENES[scene], spacing, metrics=["nsd"], nsd_tolerance_mm=1.1)["1"]["nsd"].value
    assert ours == pytest.approx(theirs.item(), abs=1e-5)


@pytest.mark.parametrize("by", [1, 2, 4])
def test_hd_of_a_shift_is_monais_and_metrics_reloadeds(by):
    torch, monai = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    a, b = shifted(1, by)
    spacing = (3.0, 1.0, 1.0)
    theirs = monai.compute_hausdorff_distance(
        torch.from_numpy(a[None, None]), torch.from_numpy(b[None, None]), include_background=True, spacing=spacing
    )
    assert score(a, b, spacing, metrics=["hd"])["1"]["hd"].value == pytest.approx(theirs.item(), abs=1e-5)
