import numpy as np
import pytest

from segtrain.core.errors import ConfigError, DataError, GridMismatch
from segtrain.core.scores import Score
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.metrics import score
from segtrain.metrics.registry import METRICS
from segtrain.metrics.score_case import score_case, score_missing
from segtrain.metrics.settings import EvaluationSettings
from tests.phantoms import ellipsoid, grid

TASK = Task(labels={"background": 0, "organ": 1, "tumour": 4}, ignore=9)


def masks(on):
    organ = ellipsoid(on).astype(np.uint8)
    organ[ellipsoid(on, radius=(0.1, 0.1, 0.1))] = 4
    return organ


def of_case(prediction, reference, metrics=("dice", "iou"), task=TASK):
    return score_case("P01", "P", prediction, reference, task, EvaluationSettings(metrics=metrics))


def test_a_perfect_case_with_volumes_in_ml():
    on = grid(spacing_mm=(1, 1, 2))
    label = LabelMap(masks(on), on)
    found = of_case(label, label)
    assert (found.case, found.patient, list(found.scores)) == ("P01", "P", ["organ", "tumour"])
    assert found.scores["organ"] == {"dice": Score(1.0, "ok"), "iou": Score(1.0, "ok")}
    assert found.reference_ml["tumour"] == pytest.approx((label.array == 4).sum() * 2 / 1000)
    assert found.prediction_ml == found.reference_ml
    assert found.mean("dice") == 1.0


def test_a_missed_and_an_absent_label_keep_their_rows():
    on = grid()
    reference = LabelMap(masks(on), on)
    found = of_case(LabelMap((reference.array == 1).astype(np.int16), on), reference)
    assert found.scores["tumour"]["dice"] == Score(0.0, "pred_empty")
    nothing = LabelMap(np.zeros(on.shape, np.uint8), on)
    assert of_case(nothing, nothing).scores["tumour"]["dice"] == Score(None, "both_empty")


def test_two_grids_are_refused_by_name():
    ours, theirs = grid(), grid(spacing_mm=(1.0, 1.2, 2.6))
    with pytest.raises(GridMismatch, match=r"case P01[\s\S]*2\.5 mm[\s\S]*2\.6 mm[\s\S]*voxels apart"):
        of_case(LabelMap(masks(ours), ours), LabelMap(masks(theirs), theirs))
    small = grid(shape=(5, 5, 5))
    with pytest.raises(GridMismatch, match=r"5x5x5 voxels"):
        of_case(LabelMap(masks(small), small), LabelMap(masks(ours), ours))


def test_voxels_of_the_ignore_label_count_nowhere():
    on = grid()
    reference = masks(on)
    prediction = reference.copy()
    hidden = np.zeros(on.shape, bool)
    hidden[:, :10] = True
    prediction[hidden] = 4
    reference[hidden] = 9
    found = of_case(LabelMap(prediction, on), LabelMap(reference, on))
    assert found.scores["organ"]["dice"].value == found.scores["tumour"]["dice"].value == 1
    assert found.prediction_ml == found.reference_ml


def test_an_id_that_no_label_has_is_refused_and_not_background():
    on = grid()
    wrong = masks(on)
    wrong[0, 0, 0] = 3
    with pytest.raises(DataError, match=r"case P01: the prediction holds ids that no label has: 3"):
        of_case(LabelMap(wrong, on), LabelMap(masks(on), on))
    task = Task(labels={"background": 0, "organ": 1})
    with pytest.raises(DataError, match=r"the reference holds .* 4"):
        of_case(LabelMap((masks(on) == 1).astype(np.uint8), on), LabelMap(masks(on), on), task=task)


def test_a_prediction_that_names_the_ignore_id_is_only_wrong():
    on = grid()
    prediction = masks(on)
    prediction[prediction == 4] = 9
    assert of_case(LabelMap(prediction, on), LabelMap(masks(on), on)).scores["tumour"]["dice"].value == 0


def test_regions_are_scored_as_unions():
    on = grid()
    task = Task(labels=TASK.labels, regions={"whole": ("organ", "tumour"), "tumour": ("tumour",)})
    reference = LabelMap(masks(on), on)
    prediction = LabelMap(np.where(reference.array == 4, 1, reference.array).astype(np.uint8), on)
    found = of_case(prediction, reference, task=task)
    assert found.scores["whole"]["dice"] == Score(1.0, "ok")
    assert found.scores["tumour"]["dice"] == Score(0.0, "pred_empty")
    assert found.reference_ml["whole"] == pytest.approx((reference.array > 0).sum() * on.voxel_volume_ml)


def test_a_structure_that_was_not_drawn_has_no_value_and_no_volume():
    on = grid()
    task = Task(labels=TASK.labels, partial={"P0*": ("organ",)})
    organ = LabelMap((masks(on) == 1).astype(np.uint8), on)
    found = of_case(LabelMap(masks(on), on), organ, task=task)
    assert found.scores["organ"]["dice"].status == "ok"
    assert found.scores["tumour"]["dice"] == Score(None, "not_drawn")
    assert list(found.reference_ml) == ["organ"]
    assert found.prediction_ml["tumour"] > 0


def test_regions_of_the_settings_are_scored_beside_the_labels():
    on = grid()
    reference = LabelMap(masks(on), on)
    prediction = LabelMap(np.where(reference.array == 4, 1, reference.array).astype(np.uint8), on)
    settings = EvaluationSettings(regions={"whole": ("organ", "tumour")})
    found = score_case("P01", "P", prediction, reference, TASK, settings)
    assert list(found.scores) == ["organ", "tumour", "whole"]
    assert found.scores["whole"]["dice"].value == 1
    with pytest.raises(ConfigError, match="did you mean 'tumour'"):
        score_case("P01", "P", prediction, reference, TASK, EvaluationSettings(regions={"whole": ("tumor",)}))


def test_a_case_without_a_prediction_is_the_worst_for_every_metric():
    on = grid()
    everything = EvaluationSettings(metrics=tuple(METRICS.names()), nsd_tolerance_mm=1)
    found = score_missing("P01", "P", LabelMap(masks(on), on), TASK, everything)
    assert {s.status for scores in found.scores.values() for s in scores.values()} == {"no_prediction"}
    assert all(score.counted is not None for score in found.scores["organ"].values())
    assert found.scores["organ"]["hd"].value == np.inf
    assert found.reference_ml["organ"] > 0
    assert found.prediction_ml == {}


def test_a_missed_structure_is_as_far_away_as_the_image_is_wide():
    on = grid()
    reference = LabelMap(masks(on), on)
    found = of_case(LabelMap((reference.array == 1).astype(np.int16), on), reference, ("hd95", "dice"))
    across_mm = np.linalg.norm(np.array(on.shape) * on.spacing_mm)
    assert found.scores["tumour"]["hd95"] == Score(np.inf, "pred_empty", pytest.approx(across_mm))
    assert found.mean("hd95") == pytest.approx((found.scores["organ"]["hd95"].value + across_mm) / 2)


def test_an_oblique_grid_has_distances_in_mm():
    straight, turned = grid(), grid(degrees=25)
    shifted = np.roll(masks(straight), 1, 2)
    for on in (straight, turned):
        found = of_case(LabelMap(shifted, on), LabelMap(masks(on), on), ("hd",))
        assert found.scores["organ"]["hd"].value == pytest.approx(2.5)


def test_every_metric_of_a_perfect_case_has_its_best_value():
    on = grid()
    label = LabelMap(masks(on), on)
    everything = EvaluationSettings(metrics=tuple(METRICS.names()), nsd_tolerance_mm=1)
    found = score_case("P01", "P", label, label, TASK, everything, threads=2)
    assert set(found.scores["organ"]) == set(METRICS.names())
    for name, perfect in found.scores["organ"].items():
        assert perfect.value == (1 if METRICS.find(name).card.best == "higher" else 0), name


class TestScore:
    def test_labels_are_found_in_either_mask(self):
        assert list(score([0, 1, 207], [0, 12, 0], (1,))) == ["1", "12", "207"]

    def test_given_labels_are_scored_even_where_absent_or_named_twice(self):
        found = score([1, 0], [1, 0], (1,), labels={"a": 1, "b": 5, "same as a": 1})
        assert found["a"] == found["same as a"] == {"dice": Score(1.0, "ok"), "iou": Score(1.0, "ok")}
        assert found["b"]["dice"].status == "both_empty"

    def test_several_ids_are_a_region(self):
        found = score([1, 4, 0], [4, 4, 0], (1,), labels={"whole": [1, 4], "core": 4})
        assert found["whole"]["dice"].value == 1
        assert found["core"]["dice"].value == pytest.approx(2 / 3)

    def test_ignored_voxels_and_their_id_are_left_out(self):
        found = score([1, 1, 2, 3], [1, 1, 9, 9], (1,), ignore=9)
        assert list(found) == ["1"]
        assert found["1"]["dice"].value == 1

    def test_nothing_in_either_mask(self):
        assert score([0, 0], [0, 0], (1,)) == {}

    def test_booleans_and_whole_floats_are_masks(self):
        assert score([True, False], [1.0, 0.0], (2,))["1"]["dice"].value == 1

    @pytest.mark.parametrize("bad", [[0.9999, 0], [np.nan, 0], ["a", "b"]])
    def test_values_that_are_not_ids_are_refused(self, bad):
        with pytest.raises(DataError, match="the prediction holds"):
            score(bad, [1, 0], (1,))

    def test_shapes_spacing_and_names_are_checked(self):
        with pytest.raises(GridMismatch, match="voxels"):
            score([1, 0], [1, 0, 0], (1,))
        for spacing in [(1, 1), (0,), (np.nan,)]:
            with pytest.raises(ConfigError, match="spacing_mm"):
                score([1, 0], [1, 0], spacing)
        with pytest.raises(ConfigError, match="did you mean 'dice'"):
            score([1, 0], [1, 0], (1,), metrics=["dicee"])
