"""Names of label ids, from the files of several programs."""

import pytest

from segtrain.data.masks.label_names import find_names, read_names

FORMS = {
    "plain.tsv": "4\tliver\n207\tlesion\n",
    "bids.tsv": "index\tname\tabbreviation\tcolor\n4\tliver\tL\t#ff0000\n207\tlesion\tX\t#00ff00\n",
    "names_first.tsv": "name\tid\nliver\t4\nlesion\t207\n",
    "itksnap.label": '# ITK-SNAP\n    4   255    0    0        1  1  1    "liver"\n207 0 255 0 1 1 1 "lesion"\n',
    "FreeSurferColorLUT.txt": "#No. Label Name:   R   G   B   A\n\n4   liver  120 18 134 0\n207 lesion 1 2 3 0\n",
    "slicer.ctbl": "# Color table\n4 liver 241 214 145 255\n207 lesion 1 2 3 255\n",
    "slicer5.ctbl": "LabelValue,Name,Color_R,Color_G,Color_B,Color_A\n4,liver,241,214,145,255\n207,lesion,1,2,3,255\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_the_same_ids(tmp_path, form):
    (tmp_path / form).write_text("\ufeff" + FORMS[form], encoding="utf-8")
    assert read_names(tmp_path / form) == {4: "liver", 207: "lesion"}


def test_names_with_spaces_and_a_clear_label(tmp_path):
    path = tmp_path / "x.label"
    path.write_text('0 0 0 0 0 0 0 "Clear Label"\n1 255 0 0 1 1 1 "Left lung"\n')
    assert read_names(path) == {0: "Clear Label", 1: "Left lung"}


def test_a_name_that_is_there_twice_gets_its_id(tmp_path):
    path = tmp_path / "labels.tsv"
    path.write_text("1\tlung\n2\tlung\n3\tliver\n")
    assert read_names(path) == {1: "lung_1", 2: "lung_2", 3: "liver"}


@pytest.mark.parametrize("text", ["", "hello\n", "1\n", "a\tb\n", "id\tname\nx\tliver\n", "case,image\n"])
def test_other_files_name_nothing(tmp_path, text):
    path = tmp_path / "labels.txt"
    path.write_text(text)
    assert read_names(path) == {}
    assert read_names(tmp_path / "none") == {}
    path.write_bytes(b"\xff\xfe\xff")
    assert read_names(path) == {}


def test_the_likeliest_file_is_taken_and_empty_ones_are_passed_over(tmp_path):
    (tmp_path / "labels.tsv").write_text("no names here")
    (tmp_path / "x.ctbl").write_text(FORMS["slicer.ctbl"])
    path, names = find_names([tmp_path / "none", tmp_path])
    assert (path.name, len(names)) == ("x.ctbl", 2)
    assert find_names([tmp_path / "none"]) is None
