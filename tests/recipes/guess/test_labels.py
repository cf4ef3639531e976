"""Labels of a data set: ids from the masks, names from wherever somebody wrote them."""

from __future__ import annotations

import pytest

from segtrain.core.errors import DataError
from segtrain.data.layouts.dataset_json import DatasetJson
from segtrain.recipes.guess.labels import guess_task
from segtrain.recipes.guess.masks import MaskIds


def test_structures_that_every_mask_has_are_labels_and_the_others_are_said():
    ids = MaskIds({1: 2, 2: 2}, 2, 2, {1: "heart", 2: "liver"}, ("BODY",))
    guessed = guess_task(ids, None, ())
    assert guessed.task.labels == {"background": 0, "heart": 1, "liver": 2}
    assert guessed.sentences[1].endswith("BODY")


def test_structures_that_overlap_are_told_and_the_task_says_who_has_the_voxel():
    ids = MaskIds({1: 2, 2: 2}, 2, 2, {1: "heart", 2: "liver"}, overlaps={"P2": "heart and liver (7 voxels)"})
    guessed = guess_task(ids, None, ())
    assert guessed.task.overlap == "later"
    assert "overlap in 1 of 2 masks (case P2: heart and liver (7 voxels))" in guessed.sentences[1]


def test_255_beside_other_labels_is_ignored_and_said():
    ids = MaskIds({0: 40, 1: 40, 255: 1}, 40, 40, first={0: "P0", 1: "P0", 255: "P7"})
    guessed = guess_task(ids, None, ())
    assert (guessed.task.labels, guessed.task.ignore) == ({"background": 0, "foreground": 1}, 255)
    assert "255 occurs in 1 of 40 masks (case P7)" in guessed.sentences[-1]


def task(ids, read=2, total=2, declared=None, folders=()):
    found = guess_task(MaskIds(dict.fromkeys(ids, 1), read, total), declared, folders)
    return dict(found.task.labels), " ".join(found.sentences)


def test_labels_without_a_name_have_their_number_and_a_single_one_is_the_foreground():
    assert task([0, 4, 207])[0] == {"background": 0, "label_4": 4, "label_207": 207}
    labels, said = task([0, 255])
    assert labels == {"background": 0, "foreground": 255}
    assert "rename" in said


def test_names_come_from_a_file_and_what_it_lacks_is_said(tmp_path):
    (tmp_path / "labels.tsv").write_text("4\tliver\n5\tspleen\n")
    labels, said = task([0, 4, 207], folders=[tmp_path])
    assert labels == {"background": 0, "liver": 4, "label_207": 207}
    assert said == "names from labels.tsv; 207 have none there"
    assert task([0, 4], 1, 9, folders=[tmp_path])[0] == {"background": 0, "liver": 4, "spleen": 5}


def test_a_label_may_be_called_background(tmp_path):
    (tmp_path / "labels.tsv").write_text("1\tbackground\n")
    assert task([0, 1], folders=[tmp_path])[0] == {"background_": 0, "background": 1}


def test_masks_without_a_label_are_refused():
    with pytest.raises(DataError, match="no mask holds a label"):
        task([0])


@pytest.mark.parametrize("ids", [range(255), [0, 2**31]])
def test_ids_that_make_no_task_are_refused_in_words(ids):
    with pytest.raises(DataError, match="labels"):
        task(ids)


def test_a_dataset_json_decides_and_what_it_does_not_name_is_said(tmp_path):
    declared = DatasetJson(tmp_path / "dataset.json", ("T1",), {"background": 0, "liver": 4}, ignore=9)
    labels, said = task([0, 4, 7, 9], declared=declared)
    assert labels == {"background": 0, "liver": 4}
    assert said.endswith("does not name: 7")


def test_regions_of_a_dataset_json_are_those_of_the_task(tmp_path):
    regions = {"whole": (1, 2, 3), "core": (2, 3), "active": (3,)}
    labels = {"background": 0, "active": 3}
    declared = DatasetJson(tmp_path / "dataset.json", ("T1",), labels, regions, (1, 2, 3), 4)
    found = guess_task(MaskIds({0: 1, 1: 1}, 1, 1), declared, ()).task
    assert found.regions == {
        "whole": ("label_1", "label_2", "active"),
        "core": ("label_2", "active"),
        "active": ("active",),
    }
    assert found.ignore == 4


def test_regions_that_cannot_be_drawn_are_refused(tmp_path):
    regions = {"active": (3,), "whole": (1, 3)}
    declared = DatasetJson(tmp_path / "dataset.json", ("T1",), {"background": 0, "active": 3}, regions, (3, 1))
    with pytest.raises(DataError, match="from the largest to the smallest"):
        guess_task(MaskIds({0: 1}, 1, 1), declared, ())


def test_ids_that_the_masks_name_themselves_have_those_names(tmp_path):
    found = guess_task(MaskIds({0: 2, 1: 2, 3: 1}, 2, 2, segments={1: "liver", 2: "aorta"}), None, [tmp_path])
    assert found.task.labels == {"background": 0, "liver": 1, "label_3": 3}
    assert found.sentences[0] == "names from the masks themselves; 3 have none there"
