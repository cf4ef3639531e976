"""F8: the same image on both sides of a split, under whatever name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segtrain.core.case import Case, ScanSource
from segtrain.core.volume import LabelMap
from segtrain.data.leaks import leaks_in, twins_in
from segtrain.data.plan.fingerprint import fingerprint_case
from segtrain.data.read import read_volume
from segtrain.data.splits import Fold
from segtrain.data.store import load_fingerprint, save_fingerprint
from tests import phantoms
from tests.data.dicom_phantoms import pixels_of, write_slice
from tests.data.plan.test_fingerprint import TASK
from tests.faults.table import fault


def case(name, uid=""):
    return Case(name, name, (ScanSource(Path(name), uid),))


def record(name, seed, channels=1):
    image, mask = phantoms.scan(phantoms.grid((6, 5, 4)), channels=channels, seed=seed)
    return fingerprint_case(name, image, mask, TASK)


def leaks(fold, seeds, uids=None):
    cases = [case(name, (uids or {}).get(name, "")) for name in seeds]
    found = leaks_in([fold], {name: record(name, seed) for name, seed in seeds.items()}, cases)
    assert all(problem.where == f"cases {' and '.join(problem.cases)}" for problem in found)
    return [(problem.where, problem.why) for problem in found]


def test_images_of_different_voxels_and_series_are_no_leak():
    assert leaks(Fold(("a", "b"), ("c",)), {"a": 1, "b": 2, "c": 3}, {"a": "1.1", "b": "1.2", "c": "1.3"}) == []


def test_every_pair_with_the_same_voxels_is_told_once():
    fold = Fold(("a", "b", "d"), ("c", "e"))
    assert leaks(fold, {"a": 1, "b": 1, "c": 1, "d": 2, "e": 3}) == [
        ("cases a and c", "their voxels are the same"),
        ("cases b and c", "their voxels are the same"),
    ]


def test_one_series_in_two_cases_is_told():
    told = leaks(Fold(("a",), ("b",)), {"a": 1, "b": 2}, {"a": "1.2.3", "b": "1.2.3"})
    assert told == [("cases a and b", "their SeriesInstanceUID is the same")]


@fault("F8", "slices of one SOPInstanceUID in two cases of other series and voxels", then="3, the cases as a pair")
def test_one_slice_in_two_cases_is_told_whatever_its_series_and_voxels(tmp_path):
    records = {}
    for name, shift in (("a", 0), ("b", 1)):
        for n in range(4):
            uid = "1.2.9.77" if n == 2 else f"1.2.9.{shift}.{n}"
            write_slice(
                tmp_path / name / f"{n}.dcm", pixels_of(n + shift), f"1.2.{shift}", (0, 0, n), SOPInstanceUID=uid
            )
        image = read_volume([ScanSource(tmp_path / name)])
        mask = LabelMap(np.zeros(image.grid.shape, np.uint8), image.grid)
        record = fingerprint_case(name, image, mask, TASK)
        file = tmp_path / f"{name}.safetensors"
        save_fingerprint(record, None, file)
        records[name], _ = load_fingerprint(file)
        assert "1.2.9.77" not in str(records[name].instances)
    cases = [case("a", "1.2.0"), case("b", "1.2.1")]
    (problem,) = leaks_in([Fold(("a",), ("b",))], records, cases)
    assert (problem.where, problem.why) == ("cases a and b", "slices of both have one SOPInstanceUID")
    assert len(twins_in(records, cases)) == 1


def test_copies_on_one_side_are_no_leak_and_several_folds_are_one_list():
    seeds = {"a": 1, "b": 1, "c": 3}
    assert leaks(Fold(("a", "b"), ("c",)), seeds) == []
    cases = [case(name) for name in seeds]
    records = {name: record(name, seed) for name, seed in seeds.items()}
    folds = [Fold(("a", "c"), ("b",)), Fold(("b", "c"), ("a",)), Fold(("a", "b"), ("c",))]
    assert len(leaks_in(folds, records, cases)) == 1


def test_twins_of_two_patients_are_found_whatever_the_split():
    patients = {"a": "P1", "b": "P2", "c": "P1", "d": "P3"}
    cases = [Case(name, patient, (ScanSource(Path(name)),)) for name, patient in patients.items()]
    records = {name: record(name, seed) for name, seed in {"a": 1, "b": 1, "c": 1, "d": 2}.items()}
    assert [problem.where for problem in twins_in(records, cases)] == ["cases a and b", "cases b and c"]
