"""Each layout has its finder; tests of the layouts themselves are in their own files."""

from typing import get_args

from segtrain.core.task import Task
from segtrain.data.layouts.by_name import FINDERS, declared_label_faults, passed_over
from segtrain.data.settings import DataSettings, Layout
from tests.data.data_sets import LABELS, write_decathlon
from tests.data.dicom_phantoms import write_series


def test_every_layout_of_the_settings_has_a_finder():
    assert set(FINDERS) == set(get_args(Layout))


def test_labels_are_compared_where_the_data_set_names_them(tmp_path):
    data = DataSettings(layout="decathlon", root=write_decathlon(tmp_path), channels=("MRI",))
    assert declared_label_faults(data, Task(labels=LABELS)) == []
    other = Task(labels={"background": 0, "front": 1, "posterior": 2})
    assert len(declared_label_faults(data, other)) == 1
    assert declared_label_faults(DataSettings(images="x", labels="y"), other) == []
    assert declared_label_faults(data.model_copy(update={"root": tmp_path / "none"}), other) == []


def test_what_a_dicom_tree_passes_over_is_counted_and_named(tmp_path):
    tree = DataSettings(layout="dicom", root=tmp_path, case="*/*", channels={"T1": "*"}, label="*Mask*")
    write_series(tmp_path / "A" / "t0" / "T1")
    assert passed_over(tree) is None
    write_series(tmp_path / "B")
    told = passed_over(tree)
    assert told.startswith("4 files below data.root in no folder of a case (data.case: '*/*')")
    assert told.endswith("and 1 more")
    assert "B/003_0.dcm" in told


def test_files_of_a_dicom_tree_that_were_not_opened_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("segtrain.data.layouts.dicom_tree.MOST_OPENED", 2)
    monkeypatch.setattr("segtrain.data.layouts.by_name.MOST_OPENED", 2)
    tree = DataSettings(layout="dicom", root=tmp_path, case="*/*", channels={"T1": "*"}, label="*Mask*")
    write_series(tmp_path / "A" / "t0" / "T1")
    for name in "abc":
        (tmp_path / name).write_text("no scan")
    place = "below data.root in no folder of a case (data.case: '*/*')"
    assert passed_over(tree) == f"2 files {place} are no scans; 1 more file whose name tells nothing was not opened"
    write_series(tmp_path / "B")
    assert passed_over(tree).endswith("and 1 more; 1 more file whose name tells nothing was not opened")


def test_layouts_that_list_their_files_pass_nothing_over(tmp_path):
    write_series(tmp_path / "images" / "P1")
    assert passed_over(DataSettings(images=tmp_path / "images", labels=tmp_path / "labels")) is None
