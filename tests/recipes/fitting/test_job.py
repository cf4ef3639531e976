"""What a fit works with, once it is set up."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from segtrain.recipes.fitting.job import Job
from segtrain.recipes.fitting.set_up import set_up
from segtrain.recipes.fitting.sound import try_config
from segtrain.recipes.run_folder import RunFolder
from tests.recipes.projects import CASES, load, result_of


@pytest.fixture
def job(study, tmp_path) -> Job:
    return result_of(set_up(try_config(load(study), None), RunFolder(tmp_path), None, None, torch.device("cpu")))


def test_a_job_knows_where_its_cases_lie(job, tmp_path):
    assert [case.id for case in job.cases] == list(CASES)
    assert job.stored.keys() == set(CASES)
    assert job.folder.path == tmp_path


def test_it_predicts_with_the_network_as_it_is(job):
    assert job.predictor.model is job.state.model


def test_the_seconds_of_earlier_sessions_count(job, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: job.began + 7)
    assert job.seconds == 7
    assert replace(job, began=job.began - 100).seconds == 107
