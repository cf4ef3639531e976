"""The plan follows from the data."""

import numpy as np
import pytest

from segtrain.core.errors import ConfigError
from segtrain.core.grid import Grid
from segtrain.data.fingerprint import CaseFingerprint, DatasetFingerprint
from segtrain.data.planning import CPU, GPU, PlanWishes, largest_patch, make_plan, target_spacing, topology
from segtrain.data.settings import DataSettings


def data(shape=(36, 50, 35), spacing_mm=(1.0, 1.0, 1.0), minimum=0.0, cases=3) -> DatasetFingerprint:
    grid = Grid(shape, np.diag([*spacing_mm, 1.0]))
    samples = np.linspace(0, 100, 101, dtype=np.float32)[None]
    records = [CaseFingerprint(f"c{i}", grid, (minimum,), samples) for i in range(cases)]
    return DatasetFingerprint(("image",), tuple(records))


def plan_for(fingerprint, wishes=None, device=CPU, modality="auto"):
    return make_plan(fingerprint, DataSettings(modality=modality), wishes or PlanWishes(), device)


def test_a_small_scan_is_one_patch():
    plan = plan_for(data())
    assert plan.patch_size == (40, 56, 40)
    assert plan.widths == (8, 16, 32, 64)
    assert plan.convolutions == (1, 2, 2, 2)


def test_a_gpu_gets_wider_networks_and_larger_patches():
    small, large = (plan_for(data((300, 300, 200)), device=d) for d in (CPU, GPU))
    assert small.widths[0] < large.widths[0]
    assert np.prod(small.patch_size) < np.prod(large.patch_size) <= 1.4 * 128**3


def test_thick_slices_are_neither_pooled_nor_convolved_across_at_first():
    plan = plan_for(data((128, 128, 24), (0.7, 0.7, 6.5)))
    assert plan.strides[0] == (2, 2, 1)
    assert plan.kernels[0] == (3, 3, 1)
    assert plan.kernels[-1] == (3, 3, 3)


def test_two_dimensions_cut_across_the_thickest_axis():
    plan = plan_for(data((30, 128, 128), (6.5, 0.7, 0.7)), PlanWishes(dims=2))
    assert plan.slice_axis == 0
    assert plan.patch_size[0] == 1
    assert plan.spacing_mm[0] is None


def test_ct_keeps_its_scale_and_mr_does_not():
    ct, mr = plan_for(data(minimum=-1000.0, cases=1)).intensity[0], plan_for(data()).intensity[0]
    assert (ct.rule, mr.rule) == ("ct", "zscore")
    assert ct.lower == pytest.approx(0.5)
    assert ct.upper == pytest.approx(99.5)
    assert ct.mean == pytest.approx(50)
    assert plan_for(data(minimum=-1000.0), modality="mr").intensity[0].rule == "zscore"


def test_a_patch_that_the_strides_do_not_divide_is_refused_with_what_would_fit():
    wishes = PlanWishes(patch_size=(40, 50, 40), widths=(8, 16, 32))
    with pytest.raises(ConfigError, match=r"patch_size 50 on axis 1 is not a multiple of 4.*48 or 52"):
        plan_for(data(), wishes)


def test_a_thick_patch_of_a_slice_is_refused_with_the_axis():
    with pytest.raises(ConfigError, match="are 1 on axis 0"):
        plan_for(data((30, 128, 128), (6.5, 0.7, 0.7)), PlanWishes(dims=2, patch_size=(16, 64, 64)))


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (
            PlanWishes(widths=(4,) * 9, patch_size=(32, 32, 16)),
            r"model.widths has 9 numbers, 6 or fewer[\s\S]*32x32x16",
        ),
        (
            PlanWishes(widths=(4, 8), convolutions=(1, 2, 2)),
            r"model.convolutions has 3 numbers, 2 are[\s\S]*fix: give 2",
        ),
        (PlanWishes(convolutions=(1, 2)), r"model.convolutions has 2 numbers, 4 are[\s\S]*the plan chose"),
    ],
)
def test_lists_that_do_not_fit_the_network_are_refused_by_their_key_with_both_numbers(wishes, words):
    with pytest.raises(ConfigError, match=words) as error:
        plan_for(data(), wishes)
    assert len(error.value.problems) == 1


def test_wishes_win():
    wishes = PlanWishes(widths=(4, 8), patch_size=(32, 32, 16), spacing_mm=(2.0, 2.0, 2.0), batch_size=7)
    plan = plan_for(data(), wishes)
    assert (plan.widths, plan.patch_size, plan.spacing_mm, plan.batch_size) == ((4, 8), (32, 32, 16), (2, 2, 2), 7)


def test_spacing_is_the_median_and_finer_on_a_very_coarse_axis():
    assert target_spacing(np.array([[1, 1, 1], [2, 1, 1], [3, 1, 2.0]])) == (2, 1, 1)
    spacings = np.array([[1, 1, z] for z in np.linspace(2, 10, 11)])
    assert target_spacing(spacings)[2] == pytest.approx(2.8)


def test_a_large_patch_shrinks_in_proportion():
    assert largest_patch(np.array([400.0, 200.0, 200.0]), 96_000, None) == (73, 36, 36)


def test_topology_keeps_four_voxels_at_the_bottom():
    strides, kernels = topology(np.array([32.0, 32, 8]), np.ones(3), 6, None, fixed=False)
    assert np.prod(strides, axis=0).tolist() == [8, 8, 2]
    assert len(kernels) == len(strides) + 1
