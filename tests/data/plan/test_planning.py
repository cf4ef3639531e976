"""The plan follows from the data."""

import numpy as np
import pytest

from segtrain.core.errors import ConfigError
from segtrain.core.grid import Grid
from segtrain.data.plan.fingerprint import CaseFingerprint, DatasetFingerprint
from segtrain.data.plan.planning import CPU, GPU, PlanWishes, make_plan
from segtrain.data.plan.presets import PRESETS, REFERENCE_BATCH, feature_values
from segtrain.data.settings import DataSettings


def data(shape=(36, 50, 35), spacing_mm=(1.0, 1.0, 1.0), minimum=0.0, cases=3) -> DatasetFingerprint:
    grid = Grid(shape, np.diag([*spacing_mm, 1.0]))
    samples = np.linspace(0, 100, 101, dtype=np.float32)[None]
    records = [CaseFingerprint(f"c{i}", grid, (minimum,), samples) for i in range(cases)]
    return DatasetFingerprint(("image",), tuple(records))


def plan_for(fingerprint, wishes=None, device=CPU, modality="auto"):
    return make_plan(fingerprint, DataSettings(modality=modality), wishes or PlanWishes(), device)


def test_a_small_scan_is_about_one_patch():
    plan = plan_for(data())
    assert plan.patch_size == (32, 48, 32)
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


def test_two_dimensions_cut_across_the_axis_along_which_no_scan_has_two_voxels():
    """Pictures: their slices are as thick as their pixels are wide."""
    assert plan_for(data((64, 48, 1)), PlanWishes(dims=2)).slice_axis == 2
    assert plan_for(data((64, 1, 48)), PlanWishes(dims=2)).slice_axis == 1


def test_two_dimensions_cut_across_the_thickest_axis():
    plan = plan_for(data((30, 128, 128), (6.5, 0.7, 0.7)), PlanWishes(dims=2))
    assert plan.slice_axis == 0
    assert plan.patch_size[0] == 1
    assert plan.spacing_mm[0] is None


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


THICK = {"shape": (128, 128, 24), "spacing_mm": (0.7, 0.7, 6.5)}


def test_the_rules_of_topology_go_into_the_plan():
    plan = plan_for(data(**THICK), device=GPU)
    assert plan.strides == ((2, 2, 1),) * 3 + ((2, 2, 2),) * 2
    assert plan.kernels == ((3, 3, 1),) * 3 + ((3, 3, 3),) * 3
    assert plan.patch_size == (128, 128, 24)


def test_a_slice_of_thick_slices_is_planned_in_its_own_plane():
    plan = plan_for(data(**THICK), PlanWishes(dims=2), device=GPU)
    assert (plan.slice_axis, plan.patch_size, plan.spacing_mm) == (2, (128, 128, 1), (0.7, 0.7, None))
    assert plan.strides == ((2, 2, 1),) * 5
    assert plan.kernels == ((3, 3, 1),) * 6


def residual(preset, fingerprint=None, device=CPU, **wishes):
    return plan_for(
        fingerprint or data((300, 300, 200), cases=20), PlanWishes(preset=PRESETS[preset], **wishes), device
    )


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_residual_encoder_has_the_blocks_of_its_preset_and_one_convolution_a_stage_upwards(preset, device):
    plan = residual(preset, device=device)
    stages = len(plan.widths)
    assert plan.convolutions == PRESETS[preset].blocks_of(stages)
    assert plan.decoder_convolutions == (1,) * (stages - 1)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_larger_card_takes_a_larger_patch_or_batch_and_is_filled(dims):
    voxels = []
    for preset in ("S", "M", "L"):
        plan = residual(preset, data((700, 700, 400), cases=20), GPU, dims=dims)
        allowed = PRESETS[preset].feature_values[dims]
        found = feature_values(plan.widths, plan.convolutions, plan.strides, plan.patch_size)
        assert found <= allowed
        filled = found * plan.batch_size / (allowed * REFERENCE_BATCH[dims])
        assert 0.5 < filled < 1.3
        voxels.append(np.prod(plan.patch_size) * plan.batch_size)
    assert voxels == sorted(voxels)


def test_small_scans_make_batches_and_not_patches_larger():
    plan = residual("L", data(cases=200), GPU)
    assert plan.patch_size == (40, 56, 40)
    assert 2 < plan.batch_size <= 10, "5 % of 200 scans"


def test_on_a_cpu_every_preset_stays_small():
    plans = {preset: residual(preset) for preset in PRESETS}
    assert [plan.widths[0] for plan in plans.values()] == [8, 8, 12]
    assert all(plan.batch_size == 2 and np.prod(plan.patch_size) < 140_000 for plan in plans.values())
    assert np.prod(plans["S"].patch_size) < np.prod(plans["M"].patch_size)


def test_wishes_win_over_a_preset():
    plan = residual("L", device=GPU, widths=(4, 8), convolutions=(1, 1), patch_size=(32, 32, 16), batch_size=7)
    assert (plan.widths, plan.convolutions, plan.patch_size, plan.batch_size) == ((4, 8), (1, 1), (32, 32, 16), 7)


def old_plan(**wishes):
    """Of a run on CT with other scans."""
    wanted = PlanWishes(widths=(4, 8, 16), patch_size=(32, 32, 16), spacing_mm=(2.0, 2.0, 3.0), batch_size=3, **wishes)
    return plan_for(data(minimum=-1000.0), wanted)


def test_a_plan_that_follows_is_the_old_one():
    old = old_plan()
    assert plan_for(data((300, 300, 200), (0.5, 0.5, 5.0)), PlanWishes(follows=old), GPU) == old


def test_a_plan_that_follows_takes_what_weights_do_not_depend_on_from_the_wishes():
    wishes = PlanWishes(patch_size=(16, 16, 8), batch_size=1, spacing_mm=(1.0, 1.0, 1.0), follows=old_plan())
    plan = plan_for(data(), wishes)
    assert (plan.patch_size, plan.batch_size, plan.spacing_mm) == ((16, 16, 8), 1, (1, 1, 1))
    assert (plan.widths, plan.strides) == (old_plan().widths, old_plan().strides)


def test_a_channel_that_is_known_keeps_its_scale_and_a_new_one_gets_its_own():
    old = old_plan()
    fingerprint = data(minimum=0.0)
    same = plan_for(fingerprint, PlanWishes(follows=old))
    assert same.intensity == old.intensity
    other = plan_for(DatasetFingerprint(("T1",), fingerprint.cases), PlanWishes(follows=old))
    assert [(rule.channel, rule.rule) for rule in other.intensity] == [("T1", "zscore")]
    told = plan_for(fingerprint, PlanWishes(follows=old), modality="mr")
    assert told.intensity[0].rule == "zscore"


def test_a_plan_in_slices_keeps_its_axis():
    old = plan_for(data((30, 128, 128), (6.5, 0.7, 0.7)), PlanWishes(dims=2))
    plan = plan_for(data(), PlanWishes(dims=2, follows=old, spacing_mm=(1.0, 0.5, 0.5)))
    assert (plan.slice_axis, plan.spacing_mm) == (0, (None, 0.5, 0.5))


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"widths": (4, 8)}, r"model.widths is \(4, 8\), the network of model.init_from has \(4, 8, 16\)"),
        ({"convolutions": (2, 2, 2)}, r"model.convolutions[\s\S]*fix: leave model.convolutions out"),
        ({"dims": 2}, "model.dims is 2"),
        ({"patch_size": (30, 32, 16)}, "patch_size 30 on axis 0 is not a multiple of 4"),
    ],
)
def test_wishes_that_the_old_weights_do_not_fit_are_refused(wishes, words):
    with pytest.raises(ConfigError, match=words):
        plan_for(data(), PlanWishes(follows=old_plan(), **wishes))


def test_wishes_that_the_old_plan_has_too_are_no_fault():
    old = old_plan()
    assert plan_for(data(), PlanWishes(widths=old.widths, convolutions=old.convolutions, follows=old)) == old
