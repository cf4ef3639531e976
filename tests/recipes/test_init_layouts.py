"""Whatever `init` writes for a layout, `check` finds no fault in, and the scans are read as they are."""

from __future__ import annotations

import pytest

from segtrain.config.load import load_config
from segtrain.data.cases import find_cases
from segtrain.recipes.check import check
from segtrain.recipes.init import write_config
from tests.recipes import layouts

PATIENTS = {layouts.brats: 4}
LABELS = {layouts.total_segmentator: {"aorta", "liver", "spleen"}, layouts.rtstructs: {"Liver"}}


@pytest.mark.parametrize("layout", layouts.ALL, ids=lambda layout: layout.__name__)
def test_the_config_of_every_layout_has_no_fault(tmp_path, layout):
    place = layout(tmp_path / "data", layouts.scans())
    told = write_config(place, tmp_path / "new.yaml", overwrite=False)
    loaded = load_config(tmp_path / "new.yaml")
    assert check(loaded) == []
    cases = find_cases(loaded.config.data)
    assert (told["cases"], len(cases)) == (len(layouts.CASES), len(layouts.CASES))
    assert len({case.patient for case in cases}) == told["patients"] == PATIENTS.get(layout, len(layouts.CASES))
    assert len(loaded.config.task.labels) == 1 + len(LABELS.get(layout, {"organ"}))
    assert set(told["labels"]) >= LABELS.get(layout, set())
