"""Each layout has its finder; tests of the layouts themselves are in their own files."""

from typing import get_args

from segtrain.core.task import Task
from segtrain.data.layouts import FINDERS, declared_label_faults
from segtrain.data.settings import DataSettings, Layout
from tests.data.data_sets import LABELS, write_decathlon


def test_every_layout_of_the_settings_has_a_finder():
    assert set(FINDERS) == set(get_args(Layout))


def test_labels_are_compared_where_the_data_set_names_them(tmp_path):
    data = DataSettings(layout="decathlon", root=write_decathlon(tmp_path), channels=("MRI",))
    assert declared_label_faults(data, Task(labels=LABELS)) == []
    other = Task(labels={"background": 0, "front": 1, "posterior": 2})
    assert len(declared_label_faults(data, other)) == 1
    assert declared_label_faults(DataSettings(images="x", labels="y"), other) == []
    assert declared_label_faults(data.model_copy(update={"root": tmp_path / "none"}), other) == []
