import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import DataError
from segtrain.data.splits import Fold, Splits, check_covers, split_folds, split_share
from tests.faults.table import fault


def cases(*sizes):
    """One patient a size, with as many cases."""
    return [
        Case(f"P{p}_{n}", f"P{p}", (ScanSource(f"{p}_{n}.nii.gz"),))
        for p, size in enumerate(sizes)
        for n in range(size)
    ]


def patients(ids):
    return {i.split("_")[0] for i in ids}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.5, 0.9, 1.0])
def test_a_share_divides_patients_and_never_one_of_them(share, seed):
    data = cases(3, 1, 2, 1, 1, 4, 2)
    (fold,) = split_share(data, share, seed).folds
    assert sorted(fold.train + fold.validation) == [c.id for c in data]
    assert not patients(fold.train) & patients(fold.validation)
    assert fold.train
    assert fold.validation


def test_a_share_is_met_as_near_as_patients_allow():
    (fold,) = split_share(cases(*[1] * 50), 0.2, seed=0).folds
    assert len(fold.validation) == 10
    (fold,) = split_share(cases(*[2] * 50), 0.25, seed=0).folds
    assert len(fold.validation) in (24, 26)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_folds_judge_every_case_once_and_are_about_equally_large(count):
    data = cases(3, 1, 2, 1, 1, 4, 2, 2, 1, 3)
    folds = split_folds(data, count, seed=1).folds
    assert sorted(i for f in folds for i in f.validation) == [c.id for c in data]
    sizes = [len(f.validation) for f in folds]
    assert max(sizes) - min(sizes) <= 2
    for fold in folds:
        assert sorted(fold.train + fold.validation) == [c.id for c in data]
        assert not patients(fold.train) & patients(fold.validation)


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_listing():
    data = cases(*[1] * 20)
    assert split_share(data, 0.3, 0) == split_share(data[::-1], 0.3, 0)
    assert split_folds(data, 5, 0) == split_folds(data[::-1], 5, 0)
    assert split_share(data, 0.3, 0) != split_share(data, 0.3, 1)
    assert split_folds(data, 5, 0) != split_folds(data, 5, 1)


def test_a_new_patient_moves_few_others():
    old = split_share(cases(*[1] * 40), 0.25, 0).folds[0].validation
    new = split_share(cases(*[1] * 41), 0.25, 0).folds[0].validation
    assert len(set(old) ^ set(new)) <= 2


def test_too_few_patients_are_told_with_a_way_out():
    with pytest.raises(DataError, match="patient_from"):
        split_share(cases(5), 0.2, 0)
    with pytest.raises(DataError, match="6 cases of 3 patients; at least 5 patients are needed"):
        split_folds(cases(2, 2, 2), 5, 0)


def test_a_written_split_comes_back(tmp_path):
    splits = split_folds(cases(1, 2, 3), 3, 7)
    splits.write(tmp_path / "splits.json")
    assert Splits.read(tmp_path / "splits.json") == splits


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema_version": 2, "seed": 0, "folds": []}',
        '{"schema_version": 1, "seed": 0}',
        '{"schema_version": 1, "seed": 0, "folds": [{"train": ["a"]}]}',
        '{"schema_version": 1, "seed": 0, "folds": [{"train": ["a"], "validation": ["a"]}]}',
    ],
)
def test_a_file_that_is_no_split_is_refused(tmp_path, text):
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(DataError, match=r"splits\.json"):
        Splits.read(tmp_path / "splits.json")
    with pytest.raises(DataError):
        Splits.read(tmp_path / "none.json")


def test_a_stored_split_fits_its_own_cases():
    data = cases(1, 2, 3)
    check_covers(split_folds(data, 3, 0), data)


def test_cases_that_came_or_went_are_named():
    data = cases(1, 1, 1, 1)
    splits = split_share(data, 0.25, 0)
    with pytest.raises(DataError) as error:
        check_covers(splits, [*data[1:], Case("new", "new", ())])
    assert data[0].id in str(error.value)
    assert "new" in str(error.value)


@fault("F8", "a patient who trains and judges", then="3, the cases as a pair")
def test_a_patient_on_both_sides_is_named_as_a_pair():
    splits = Splits((Fold(("P0_0", "P1_0"), ("P0_1",)),), 0)
    with pytest.raises(DataError, match="P0_0 and P0_1"):
        check_covers(splits, cases(2, 1))
