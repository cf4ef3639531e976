"""Cases are told in order, while the next one is read and the last one written; faults keep their case."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import closing
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError, Problem
from segtrain.core.events import CaseFailed, CaseScored, Note
from segtrain.data.cases import find_scans
from segtrain.data.files.nifti import read_nifti
from segtrain.inference.predict import Ensemble
from segtrain.metrics.settings import EvaluationSettings
from segtrain.recipes.scoring import predict_cases as room
from segtrain.recipes.scoring.predict_cases import Manner, predict_cases, volumes_ml
from segtrain.recipes.trained import load_ensemble, load_predictor, trained_config
from tests.faults.table import fault
from tests.phantoms import scan
from tests.recipes.projects import result_of, write_study

SCORING = EvaluationSettings()


@pytest.fixture
def scans(tmp_path):
    write_study(tmp_path, cases=("P6_a", "P7_a", "P8_a", "P9_a"))
    return tmp_path / "images", tmp_path / "labels"


@pytest.fixture
def ensemble(trained):
    return load_ensemble([trained], device="cpu", allow_code=False)


@pytest.fixture
def cases(trained, scans):
    return find_scans(trained_config(trained, allow_code=False).data, *scans).cases


def masks(out):
    return {path.name: path.read_bytes() for path in sorted((out / "predictions").iterdir())}


def test_events_come_in_the_order_of_the_cases(ensemble, cases, scans, tmp_path):
    (scans[0] / "P7_a.nii.gz").write_bytes(b"no scan")
    events = list(predict_cases(ensemble, cases, tmp_path / "out", SCORING))
    assert [(type(e), e.case, e.done, e.total) for e in events] == [
        (CaseScored, "P6_a", 1, 4),
        (CaseFailed, "P7_a", 2, 4),
        (CaseScored, "P8_a", 3, 4),
        (CaseScored, "P9_a", 4, 4),
    ]
    assert "P7_a" in events[1].message


def test_cases_of_which_it_is_known_that_they_are_of_no_use_are_told_first(ensemble, cases, tmp_path):
    unusable = [("widow", Problem("label widow has no image")), ("widow", Problem("and more")), ("x", Problem("odd"))]
    events = list(predict_cases(ensemble, cases[:1], tmp_path / "out", SCORING, None, unusable))
    assert [(type(e), e.case, e.done, e.total) for e in events] == [
        (CaseFailed, "widow", 1, 3),
        (CaseFailed, "x", 2, 3),
        (CaseScored, "P6_a", 3, 3),
    ]
    assert events[0].message == "label widow has no image\nand more"
    outcome = result_of(predict_cases(ensemble, cases[:1], tmp_path / "again", SCORING, None, unusable))
    assert [case for case, _ in outcome.failed] == ["widow", "x"]


def test_a_mask_is_written_before_its_case_is_told(ensemble, cases, tmp_path):
    for event in predict_cases(ensemble, cases, tmp_path / "out", SCORING):
        assert (tmp_path / "out" / "predictions" / f"{event.case}.nii.gz").is_file()


def test_the_next_scan_is_read_while_one_is_predicted_and_no_further(ensemble, cases, tmp_path, monkeypatch):
    read, threads = [], set()
    reading = room.read_case

    def told(case, *rest):
        read.append(case.id)
        threads.add(threading.current_thread())
        return reading(case, *rest)

    monkeypatch.setattr(room, "read_case", told)
    ahead = []
    predicting = Ensemble.predicting

    def slowly(self, *arguments):
        time.sleep(0.2)
        ahead.append(len(read))
        return predicting(self, *arguments)

    monkeypatch.setattr(Ensemble, "predicting", slowly)
    list(predict_cases(ensemble, cases, tmp_path / "out", SCORING))
    assert ahead == [2, 3, 4, 4]
    assert threading.main_thread() not in threads


def test_strict_ends_with_the_first_bad_case_after_those_before_it_were_told(ensemble, cases, scans, tmp_path):
    (scans[0] / "P7_a.nii.gz").write_bytes(b"no scan")
    events = predict_cases(ensemble, cases, tmp_path / "out", SCORING, Manner(strict=True))
    assert next(events).case == "P6_a"
    with pytest.raises(DataError, match="P7_a"):
        next(events)
    assert "P9_a.nii.gz" not in masks(tmp_path / "out")


def test_a_scan_that_memory_does_not_suffice_for_costs_the_others_nothing(ensemble, cases, tmp_path, monkeypatch):
    prepare = Ensemble.prepare

    def with_little_memory(self, case, image):
        if case == cases[0].id:
            raise MemoryError
        return prepare(self, case, image)

    monkeypatch.setattr(Ensemble, "prepare", with_little_memory)
    outcome = result_of(predict_cases(ensemble, cases, tmp_path / "out", SCORING))
    assert [case for case, _ in outcome.failed] == [cases[0].id]
    assert "out of memory reading a scan" in outcome.failed[0][1]
    assert len(outcome.scores) == len(cases) - 1


def test_closed_early_it_leaves_whole_masks_and_no_thread(ensemble, cases, tmp_path):
    with closing(predict_cases(ensemble, cases, tmp_path / "out", SCORING, Manner(probabilities=True))) as events:
        next(events)
    names = {thread.name.partition("_")[0] for thread in threading.enumerate()}
    assert not names & {"read", "write"}
    for path in (tmp_path / "out" / "predictions").iterdir():
        read_nifti(path)
    assert not list(tmp_path.rglob("*.tmp"))


def test_probabilities_of_every_output_lie_on_the_grid_of_the_scan(ensemble, cases, scans, tmp_path):
    list(predict_cases(ensemble, cases, tmp_path / "out", SCORING, Manner(probabilities=True)))
    found = nib.load(tmp_path / "out" / "probabilities" / "P8_a.nii")
    image = nib.load(scans[0] / "P8_a.nii.gz")
    assert found.shape == (*image.shape, 2)
    assert np.allclose(found.affine, image.affine)
    numbers = found.get_fdata()
    assert np.abs(numbers.sum(-1) - 1).max() < 1e-4
    mask = read_nifti(tmp_path / "out" / "predictions" / "P8_a.nii.gz").array[0]
    sure = np.abs(numbers[..., 0] - 0.5) > 1e-4
    assert np.array_equal(numbers.argmax(-1)[sure], mask[sure])


def drawn(ensemble, monkeypatch):
    """Cases that a network works on, from here on."""
    found, predicting = [], Ensemble.predicting
    monkeypatch.setattr(
        Ensemble, "predicting", lambda self, scan, sink: (found.append(scan), predicting(self, scan, sink))[1]
    )
    return found


def test_what_is_there_is_kept_and_scored_as_if_it_had_been_predicted_now(ensemble, cases, tmp_path, monkeypatch):
    whole = result_of(predict_cases(ensemble, cases, tmp_path / "whole", SCORING))
    result_of(predict_cases(ensemble, cases[:2], tmp_path / "out", SCORING))
    found = drawn(ensemble, monkeypatch)
    again = result_of(predict_cases(ensemble, cases, tmp_path / "out", SCORING, Manner(resume=True)))
    assert len(found) == 2
    assert masks(tmp_path / "out") == masks(tmp_path / "whole")
    assert [(s.case, s.scores, s.prediction_ml) for s in again.scores] == [
        (s.case, s.scores, s.prediction_ml) for s in whole.scores
    ]


@pytest.mark.parametrize("fault", ["damaged", "older than its scan", "without probabilities"])
def test_a_mask_that_is_not_whole_is_made_anew(ensemble, cases, tmp_path, monkeypatch, fault):
    result_of(predict_cases(ensemble, cases, tmp_path / "out", SCORING, Manner(probabilities=True)))
    expected = masks(tmp_path / "out")
    file = tmp_path / "out" / "predictions" / "P8_a.nii.gz"
    if fault == "damaged":
        file.write_bytes(file.read_bytes()[:-5])
    elif fault == "older than its scan":
        os.utime(file, (1, 1))
    else:
        (tmp_path / "out" / "probabilities" / "P8_a.nii").unlink()
    found = drawn(ensemble, monkeypatch)
    result_of(predict_cases(ensemble, cases, tmp_path / "out", SCORING, Manner(probabilities=True, resume=True)))
    assert len(found) == 1
    assert masks(tmp_path / "out") == expected


def test_notes_of_a_case_stand_before_it(ensemble, cases, tmp_path, monkeypatch):
    monkeypatch.setattr("segtrain.inference.place.MIB", 2**4)
    events = list(predict_cases(ensemble, cases[:2], tmp_path / "out", SCORING))
    assert [type(event) for event in events] == [Note, CaseScored, Note, CaseScored]
    assert events[2].text.startswith("P7_a: predicted in ")


@pytest.mark.parametrize("part", ["channel", "label"])
@fault("F11", "a mask in the place of a channel or label", then="refused; the scan stays")
def test_neither_a_channel_nor_a_label_is_written_over(trained, scans, tmp_path, part):
    predictor = load_predictor(trained, device="cpu", allow_code=False)
    image, label = (ScanSource(folder / "P8_a.nii.gz") for folder in scans)
    target = tmp_path / "predictions" / "P8_a.nii.gz"
    target.parent.mkdir()
    shutil.copy(label.path, target)
    images = (image,) if part == "label" else (image, ScanSource(target))
    case = Case("P8_a", "P8", images, ScanSource(target) if part == "label" else None)
    if part == "channel":
        target.write_bytes(image.path.read_bytes())
        predictor = replace(predictor, plan=two_channels(predictor.plan), model=FirstChannel(predictor.model))
    before = target.read_bytes()
    outcome = result_of(predict_cases(Ensemble((predictor,)), [case], tmp_path, SCORING))
    assert "written over" in outcome.failed[0][1]
    assert target.read_bytes() == before


def two_channels(plan):
    (rule,) = plan.intensity
    return plan.model_copy(update={"intensity": (rule, rule.model_copy(update={"channel": "T2"}))})


class FirstChannel(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images[:, :1])


def test_volumes_are_those_of_the_structures(ensemble):
    _, mask = scan()
    count = int((mask.array == 1).sum())
    assert volumes_ml(mask, ensemble.task) == {"organ": pytest.approx(count * 0.003)}
