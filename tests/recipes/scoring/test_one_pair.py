from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from segtrain.core.case import ScanSource
from segtrain.core.grid import Grid
from segtrain.core.scores import Score
from segtrain.core.task import Task
from segtrain.core.volume import LabelMap
from segtrain.data.files.nifti import write_nifti
from segtrain.data.read import read_labels
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.scoring.one_pair import MaskPair, score_pair
from tests.data.folders import write_structures
from tests.data.rtstruct_phantoms import outline, write_rtstruct

ON = Grid((4, 3, 2), np.diag([10.0, 10.0, 10.0, 1.0]))
TASK = Task(labels={"background": 0, "organ": 1})


def pair(folder, prediction, reference=(1, 1)):
    def write(name, ids, affine=ON.affine):
        array = np.zeros(ON.shape, np.int16)
        array.flat[: len(ids)] = ids
        write_nifti(folder / name, LabelMap(array, Grid(ON.shape, affine)))
        return folder / name

    path = None if prediction is None else write("found.nii.gz", prediction)
    return MaskPair("P1_a", "P1", write("wanted.nii.gz", reference), path, TASK, EvaluationSettings(), 1)


def test_two_files_are_scored(tmp_path):
    found = score_pair(pair(tmp_path, (1,)))
    assert found.scores.scores["organ"]["dice"].value == pytest.approx(2 / 3)
    assert (found.fault, found.note) == ("", None)
    assert found.seconds > 0


def test_no_prediction_is_the_worst(tmp_path):
    found = score_pair(pair(tmp_path, None))
    assert found.scores.scores["organ"]["dice"] == Score(0.0, "no_prediction")
    assert "P1_a has no prediction" in found.fault
    assert "scored as the worst" in found.fault


def test_an_id_that_nobody_named_is_background(tmp_path):
    found = score_pair(pair(tmp_path, (1, 5)))
    assert found.others == (5,)
    assert found.scores.scores["organ"]["dice"].value == pytest.approx(2 / 3)


def test_a_reference_that_cannot_be_read_leaves_nothing_to_score(tmp_path):
    both = pair(tmp_path, (1,))
    both.reference.write_bytes(b"no mask")
    found = score_pair(both)
    assert found.scores is None
    assert "wanted.nii.gz" in found.fault


def test_a_reference_that_was_drawn_on_the_scan_is_scored_on_the_grid_of_the_prediction(tmp_path):
    both = pair(tmp_path, (1, 1, 0, 1, 1))
    square = [[-0.5, -0.5], [1.5, -0.5], [1.5, 1.5], [-0.5, 1.5]]
    path = write_rtstruct(tmp_path / "wanted.dcm", {"Organ": [outline(ON, square, 0)]})
    array = np.zeros(ON.shape, np.uint8)
    array[:2, :2, 0] = 1
    write_nifti(both.prediction, LabelMap(array, ON))
    found = score_pair(replace(both, reference=path))
    assert found.fault == ""
    assert found.scores.scores["organ"]["dice"].value == 1


def test_outlines_are_scored_on_the_grid_of_structures_that_overlap(tmp_path):
    voxels = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)]
    folder = write_structures(tmp_path / "found", {"organ": voxels, "rim": voxels[:1]})
    square = [[-0.5, -0.5], [1.5, -0.5], [1.5, 1.5], [-0.5, 1.5]]
    on = read_labels(ScanSource(folder / "organ.nii.gz")).grid
    path = write_rtstruct(tmp_path / "wanted.dcm", {"Organ": [outline(on, square, 0)]})
    found = score_pair(MaskPair("P1_a", "P1", path, folder, TASK, EvaluationSettings(), 1))
    assert found.fault == ""
    assert found.scores.scores["organ"]["dice"].value == 1


def test_what_there_is_to_know_of_the_masks_is_told(tmp_path):
    for name in ("wanted", "found"):
        Image.fromarray(np.ones((4, 5), np.uint8)).save(tmp_path / f"{name}.png")
    found = score_pair(
        MaskPair("P1_a", "P1", tmp_path / "wanted.png", tmp_path / "found.png", TASK, EvaluationSettings(), 1)
    )
    assert found.note == "P1_a: a picture does not say how large its pixels are: 1 mm is assumed"


@pytest.mark.parametrize("prediction", [(1,), None])
def test_scores_are_of_the_patient_also_where_there_is_no_prediction(tmp_path, prediction):
    scores = score_pair(pair(tmp_path, prediction)).scores
    assert (scores.case, scores.patient) == ("P1_a", "P1")
