"""A sheet of a scan shows the changes that training would draw."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segtrain.core.errors import ConfigError, DataError
from segtrain.core.volume import Volume
from segtrain.data.augment.draw import draw
from segtrain.data.augment.frame import PatchFrame
from segtrain.data.files.nifti import write_nifti_image
from segtrain.recipes.augmented import draw_sheet
from segtrain.reports.augment_sheet import words_of
from tests.phantoms import grid
from tests.recipes.projects import load

PNG = b"\x89PNG"


def test_a_scan_of_the_config_is_shown_with_its_patch_and_changes(study, tmp_path):
    loaded = load(study, "augmentation.rotation.probability=1", "training.seed=3")
    facts = draw_sheet(study / "images" / "P0_a.nii.gz", tmp_path / "sheet.png", loaded)
    assert (tmp_path / "sheet.png").read_bytes()[:4] == PNG
    assert (facts["kind"], facts["patch"], facts["changed_share"]) == ("augmentation", [16, 8, 8], 1.0)
    assert list(facts["samples"]) == [str(index) for index in range(11)]
    frame = PatchFrame((16, 8, 8), (1.0, 1.2, 2.5), (0, 1, 2), 1, None)
    for index, words in facts["samples"].items():
        change = draw(loaded.config.augmentation, frame, 3, int(index))
        assert words == list(words_of(change, ["T1"]))
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_samples_that_draw_nothing_are_left_out(study, tmp_path):
    facts = draw_sheet(study / "images" / "P0_a.nii.gz", tmp_path / "s.png", load(study, "augmentation.share=0.2"))
    assert 0.1 < facts["changed_share"] < 0.25
    assert len(facts["samples"]) == 11
    assert all(facts["samples"].values())
    nothing = draw_sheet(study / "images" / "P0_a.nii.gz", tmp_path / "n.png", load(study, "augmentation.share=0"))
    assert (nothing["changed_share"], nothing["samples"]) == (0.0, {})
    assert (tmp_path / "n.png").stat().st_size < (tmp_path / "s.png").stat().st_size


@pytest.mark.parametrize("labelled", [True, False])
def test_a_scan_needs_no_config(study, tmp_path, labelled):
    mask = study / "labels" / "P0_a.nii.gz" if labelled else None
    facts = draw_sheet(study / "images" / "P0_a.nii.gz", tmp_path / "sheet.png", mask=mask)
    assert (tmp_path / "sheet.png").read_bytes()[:4] == PNG
    assert len(facts["patch"]) == 3


def test_a_config_of_slices_shows_slices(study, tmp_path):
    loaded = load(study, "model.dims=2", "model.patch_size=[16,16,1]")
    assert draw_sheet(study / "images" / "P0_a.nii.gz", tmp_path / "sheet.png", loaded)["patch"] == [16, 16]


def test_channels_of_one_file_are_side_by_side(tmp_path):
    on = grid((16, 16, 12))
    rng = np.random.default_rng(0)
    write_nifti_image(tmp_path / "two.nii.gz", Volume(rng.normal(size=(2, *on.shape)).astype(np.float32), on))
    facts = draw_sheet(tmp_path / "two.nii.gz", tmp_path / "sheet.png")
    assert any(word.startswith("channel 1: ") for words in facts["samples"].values() for word in words)


def test_what_cannot_be_shown_is_refused_before_it_is_read(study, tmp_path):
    with pytest.raises(ConfigError, match=r"sheet\.gif"):
        draw_sheet(study / "nothing.nii.gz", tmp_path / "sheet.gif")
    found = load(study)
    with pytest.raises(DataError, match=r"nothing\.nii\.gz"):
        draw_sheet(study / "nothing.nii.gz", tmp_path / "sheet.png", found)
    two = load(study, "data.labels=null", "data.channels=[T1, T2]")
    with pytest.raises(DataError, match=r"1 channel, not 2 \(T1, T2\)"):
        draw_sheet(study / "images" / "P0_a.nii.gz", tmp_path / "sheet.png", two)
    assert not (tmp_path / "sheet.png").exists()
