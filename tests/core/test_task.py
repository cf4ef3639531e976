"""Label ids in files <-> classes of the network."""

import numpy as np
import pytest
from pydantic import ValidationError

from segtrain.core.task import IGNORED_CLASS, Task

BRATS = {"background": 0, "oedema": 2, "core": 1, "active": 4}
NESTED = {"whole": ("oedema", "core", "active"), "tumour": ("core", "active"), "active": ("active",)}
SPARSE = Task(labels={"vessel": 207, "background": 0, "liver": 4}, ignore=9)


def test_classes_follow_the_ids_with_the_background_first():
    assert SPARSE.names == ("background", "liver", "vessel")
    assert SPARSE.foreground == ("liver", "vessel")
    assert SPARSE.ids == (0, 4, 207)
    assert Task(labels={"low": -5, "none": 0, "high": 5}).names == ("none", "low", "high")


def test_the_order_in_the_config_does_not_matter():
    other = Task(labels={"background": 0, "liver": 4, "vessel": 207}, ignore=9)
    assert (other.names, other.ids) == (SPARSE.names, SPARSE.ids)


@pytest.mark.parametrize(
    ("activation", "outputs"), [("softmax", ("background", "liver", "vessel")), ("sigmoid", ("liver", "vessel"))]
)
def test_a_sigmoid_network_has_no_output_for_the_background(activation, outputs):
    assert SPARSE.output_names(activation) == outputs


def test_structures_are_the_foreground_classes_where_there_are_no_regions():
    assert SPARSE.structures == {"liver": (1,), "vessel": (2,)}
    assert SPARSE.drawn == (1, 2)


def test_regions_are_the_structures_and_keep_their_order():
    task = Task(labels=BRATS, regions=NESTED)
    assert task.names == ("background", "core", "oedema", "active")
    assert task.structures == {"whole": (2, 1, 3), "tumour": (1, 3), "active": (3,)}
    assert task.foreground == task.output_names("sigmoid") == ("whole", "tumour", "active")


def test_a_region_is_drawn_as_the_label_that_no_later_one_has():
    assert Task(labels=BRATS, regions=NESTED).drawn == (2, 1, 3)


def test_the_first_pattern_that_matches_says_what_was_drawn():
    task = Task(labels=BRATS, partial={"a_1": ("core", "oedema"), "a_*": ("oedema",)})
    assert task.hidden_in("a_1") == ("active",)
    assert task.hidden_in("a_2") == ("core", "active")
    assert task.hidden_in("b_1") == ()


def test_a_region_is_hidden_where_one_of_its_labels_is():
    task = Task(labels=BRATS, regions=NESTED, partial={"a_*": ("active",)})
    assert task.hidden_labels_in("a_1") == ("core", "oedema")
    assert task.hidden_in("a_1") == ("whole", "tumour")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_ids_become_classes_and_the_ignore_label_255(dtype):
    classes = SPARSE.to_classes(np.array([[0, 4], [207, 9]]).astype(dtype))
    assert classes.dtype == np.uint8
    assert classes.tolist() == [[0, 1], [2, IGNORED_CLASS]]


def test_classes_become_ids_again():
    labels = np.array([[[0, 4, 207]], [[207, 0, 4]]])
    again = SPARSE.to_labels(SPARSE.to_classes(labels))
    assert again.dtype == np.uint8
    assert np.array_equal(again, labels)


def test_large_and_negative_ids_survive_the_way_there_and_back():
    task = Task(labels={"none": 0, "low": -1, "high": 2**31 - 1})
    labels = np.array([0, -1, 2**31 - 1])
    assert task.to_classes(labels).tolist() == [0, 1, 2]
    assert np.array_equal(task.to_labels(task.to_classes(labels)), labels)


def test_as_many_labels_as_a_byte_holds_beside_the_ignored_one():
    task = Task(labels={f"l{i}": i for i in range(254)}, ignore=1000)
    classes = task.to_classes(np.array([253, 1000]))
    assert classes.tolist() == [253, IGNORED_CLASS]


def test_ids_that_are_not_declared_are_found():
    assert SPARSE.unknown_ids(np.array([0, 4, 9, 207])) == []
    assert SPARSE.unknown_ids(np.array([3, 4, -2, 3, 9])) == [-2, 3]
    assert Task(labels={"background": 0, "organ": 1}).unknown_ids(np.array([0, 9])) == [9]


CODES = {"type": {"value": "108369006", "meaning": "Neoplasm"}}


def test_a_label_has_its_codes_or_is_some_tissue():
    task = Task(labels=BRATS, codes={"core": CODES})
    assert task.codes_of("core").type.meaning == "Neoplasm"
    assert task.codes_of("oedema").type.meaning == "Tissue"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": {"liver": 1, "tumour": 2}}, "id 0: the background"),
        ({"labels": {"background": 0}}, "at least 2"),
        ({"labels": {"background": 0, "liver": 1, "tumour": 1}}, "share one id"),
        ({"labels": {"background": 0, "liver": 1}, "ignore": 1}, "ignore: 1 is also"),
        ({"labels": {f"l{i}": i for i in range(255)}}, "at most 254 labels"),
        ({"labels": {"background": 0, "liver": 2**31}}, "less than"),
        ({"labels": {"background": 0, "liver": 1.5}}, "integer"),
        ({"labels": {"background": 0, "liver": 1}, "regions": {"whole": [1]}}, "string"),
        ({"labels": BRATS, "regions": {"whole": ["oedema", "cyst"]}}, "regions.whole: 'cyst' is no foreground label"),
        ({"labels": BRATS, "regions": {"all": ["background", "core"]}}, "'background' is no foreground label"),
        ({"labels": BRATS, "regions": {"whole": ["oedema", "core", "active"]}}, "regions.whole must have exactly one"),
        (
            {"labels": BRATS, "regions": {"inner": ["core"], "whole": ["oedema", "core"]}},
            "regions.inner must .*none",
        ),
        ({"labels": BRATS, "regions": {"whole": ["oedema", "core"], "inner": ["core"]}}, "label 'active' is in none"),
        ({"labels": BRATS, "regions": {}}, "at least 1"),
        ({"labels": BRATS, "partial": {"a_*": ["cyst"]}}, "partial.a_.: 'cyst' is no label"),
        ({"labels": BRATS, "codes": {"cyst": CODES}}, "codes.cyst: 'cyst' is no foreground label"),
        ({"labels": BRATS, "codes": {"background": CODES}}, "codes.background: 'background' is no foreground label"),
    ],
)
def test_a_task_that_cannot_be_is_refused_with_the_reason(options, words):
    with pytest.raises(ValidationError, match=words):
        Task(**options)


def test_what_two_labels_claim_is_refused_unless_the_task_says_otherwise():
    labels = {"background": 0, "a": 1}
    assert Task(labels=labels).overlap == "refuse"
    with pytest.raises(ValidationError):
        Task(labels=labels, overlap="first")
