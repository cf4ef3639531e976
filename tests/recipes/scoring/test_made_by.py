"""A prediction is gone on with by the same networks and settings alone, and by nobody who cannot tell."""

from __future__ import annotations

import json

import pytest

from segtrain.core.case import Case, ScanSource
from segtrain.core.errors import ConfigError
from segtrain.data.files.nifti import write_nifti
from segtrain.recipes.scoring.made_by import begin, drawn_by
from segtrain.recipes.scoring.predict_cases import Manner
from segtrain.recipes.trained import load_ensemble
from tests.phantoms import scan

AGAIN = Manner(resume=True)


@pytest.fixture
def begun(trained, tmp_path):
    """Two masks of an earlier command, and a way to begin again with other settings or cases."""

    def begins(manner=AGAIN, *, overrides=(), names=("a", "b.c"), overwrite=False):
        ensemble = load_ensemble([trained], device="cpu", allow_code=False, overrides=overrides)
        cases = [Case(name, name, (ScanSource(tmp_path / f"{name}.nii.gz"),)) for name in names]
        return list(begin(tmp_path / "out", [trained], ensemble, cases, manner, overwrite=overwrite))

    begins(Manner())
    for name in ("a", "b.c"):
        write_nifti(tmp_path / "out" / "predictions" / f"{name}.nii.gz", scan()[1])
    return begins


def test_what_draws_the_masks_is_written_down(begun, trained, tmp_path):
    found = json.loads((tmp_path / "out" / "prediction.json").read_text())
    about = json.loads((trained / "checkpoints" / "best" / "checkpoint.json").read_text())
    assert found["weights_sha256"] == [about["sha256"]["model.safetensors"]]
    assert found["runs"] == [str(trained.resolve())]
    assert found["inference"][0]["overlap"] == 0


def test_masks_of_the_same_networks_are_kept(begun, tmp_path):
    (note,) = begun()
    assert note.text.startswith("2 of 2 masks are there")
    assert len(list((tmp_path / "out" / "predictions").iterdir())) == 2


def test_without_a_word_they_are_neither_kept_nor_deleted(begun, tmp_path):
    with pytest.raises(ConfigError, match="holds results already"):
        begun(Manner())
    begun(Manner(), overwrite=True)
    assert not list((tmp_path / "out" / "predictions").iterdir())


def test_keeping_and_deleting_exclude_each_other(begun):
    with pytest.raises(ConfigError, match="exclude each other"):
        begun(overwrite=True)


@pytest.mark.parametrize(
    ("overrides", "manner", "told"),
    [
        (["inference.overlap=0.5"], AGAIN, "settings of inference"),
        ([], Manner(resume=True, format="nii"), "format"),
    ],
)
def test_other_settings_are_refused_by_name(begun, overrides, manner, told):
    with pytest.raises(ConfigError, match=f"drawn with other {told}"):
        begun(manner, overrides=overrides)


def test_formats_that_are_not_read_back_are_not_gone_on_with(begun):
    with pytest.raises(ConfigError, match="format nrrd are not read back"):
        begun(Manner(resume=True, format="nrrd"))


def test_masks_of_another_scan_of_that_name_are_taken_away(begun, tmp_path):
    record = tmp_path / "out" / "prediction.json"
    before = json.loads(record.read_text())
    first = min(before["scans"])
    before["scans"][first] = "another scan"
    record.write_text(json.dumps(before))
    kept = {path.name for path in (tmp_path / "out" / "predictions").iterdir()}
    begun()
    assert kept - {path.name for path in (tmp_path / "out" / "predictions").iterdir()} == {f"{first}.nii.gz"}


def test_tables_of_what_was_there_are_taken_away(begun, tmp_path):
    (tmp_path / "out" / "metrics.json").write_text("{}")
    begun()
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_settings_that_change_no_voxel_may_change(begun):
    assert begun(overrides=["inference.memory_mib=100", "inference.batch_size=1"])


def test_other_weights_are_refused(begun, tmp_path):
    record = tmp_path / "out" / "prediction.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "weights_sha256": ["0"]}))
    with pytest.raises(ConfigError, match="drawn with other weights"):
        begun()


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_masks_of_which_nobody_knows_what_drew_them_are_refused(begun, tmp_path, text):
    record = tmp_path / "out" / "prediction.json"
    record.unlink() if text is None else record.write_text(text)
    with pytest.raises(ConfigError, match="nobody knows what drew the masks"):
        begun()


def test_masks_of_cases_that_are_not_among_the_scans_are_told(begun):
    with pytest.raises(ConfigError, match=r"not among the scans[\s\S]*b\.c\.nii\.gz"):
        begun(names=("a", "b"))


def test_an_empty_folder_is_begun(begun, tmp_path):
    for path in (tmp_path / "out" / "predictions").iterdir():
        path.unlink()
    (tmp_path / "out" / "prediction.json").unlink()
    assert begun() == []


def test_outputs_are_named_beside_their_probabilities(begun, tmp_path):
    begun(Manner(resume=True, probabilities=True))
    about = json.loads((tmp_path / "out" / "probabilities" / "outputs.json").read_text())
    assert about == {"schema_version": 1, "activation": "softmax", "outputs": ["background", "organ"]}


def test_a_mask_says_which_runs_drew_it(tmp_path):
    runs = [tmp_path / "first", tmp_path / "second"]
    assert drawn_by(runs, None).model == "first + second"
    assert drawn_by(runs[:1], AGAIN) == Manner(resume=True, model="first")
