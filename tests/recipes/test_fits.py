"""What `segtrain fit` begins for each kind of `--fold`."""

from __future__ import annotations

from segtrain.core.events import Finished
from segtrain.recipes.fits import fits
from tests.recipes.projects import load


def test_a_fold_is_one_fit_and_all_are_one_each_with_a_common_store(study, tmp_path):
    short = load(study, "compare=null", "training={epochs: 1, steps_per_epoch: 1, batch_size: 1, folds: 2}")
    *_, one = fits(short, tmp_path / "one", fold=1, device="cpu")
    assert isinstance(one, Finished)
    assert (tmp_path / "one" / "run.json").is_file()
    *_, every = fits(short, tmp_path / "all", fold="all", device="cpu")
    assert [found["fold"] for found in every.result["by_fold"]] == [0, 1]
    assert every.result["metrics"]["cases"] == 5
    assert any((tmp_path / "all" / "prepared").glob("*.safetensors"))
    assert not (tmp_path / "all" / "fold_0" / "prepared").exists()
