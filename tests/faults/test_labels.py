"""F5 to F8, F27 and F28: masks that hold something else, lie elsewhere, leak, or do not pair, met by a command."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segtrain.core.grid import Grid
from tests import phantoms
from tests.commands.conftest import Trained
from tests.commands.projects import GRIDS, answer, done, refused, rows, words_of, write_mask
from tests.faults.studies import SHAPE, contents, faults_of, image_of, label_of, moved, plain_grid, small_study
from tests.faults.table import fault

VALUES = {
    "0.9999": (0.9999, "no whole number in"),
    "255": (255, "255 (40 voxels)"),
    "-1": (-1, "-1 (40 voxels)"),
    "300": (300, "300 (40 voxels)"),
}


@fault("F5", "0.9999, 255, -1 and 300 in a mask", then="3, the case, the values and how many voxels have them")
@pytest.mark.parametrize("what", VALUES)
def test_numbers_that_are_no_labels_are_refused(tmp_path: Path, what: str) -> None:
    config = small_study(tmp_path)
    value, words = VALUES[what]
    array = np.zeros(GRIDS[1].shape)
    array[:2, :5, :4] = value
    nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), GRIDS[1].affine), label_of(config))
    text = faults_of(config)
    assert words in text
    assert "P1" in text


@fault("F5", "a mask that is all background, and a label that a case has not", then="0, allowed and counted")
def test_an_empty_mask_is_a_mask(tmp_path: Path) -> None:
    config, quick = small_study(tmp_path), ("training.epochs=1", "training.steps_per_epoch=1")
    write_mask(label_of(config), np.zeros(GRIDS[1].shape), GRIDS[1])
    assert answer("check", "--config", config)["problems"] == []
    done("fit", "--config", config, *quick, "--run", tmp_path / "run")


@fault("F6", "a mask off by 1e-6, 0.1 and 5 voxels, flipped, of another spacing", then="3, or noted below half a voxel")
@pytest.mark.parametrize(
    ("voxels", "words"), [(1e-6, None), (0.1, "0.1 voxels beside"), (5.0, "5 voxels"), ("flip", ""), ("spacing", "")]
)
def test_a_mask_beside_its_image_is_passed_noted_or_refused(tmp_path: Path, voxels: object, words: str | None) -> None:
    config = small_study(tmp_path)
    grid = GRIDS[1]
    if isinstance(voxels, float):
        other = moved(grid, voxels)
    else:
        turn = np.diag([-1.0, 1, 1, 1]) if voxels == "flip" else np.diag([1.5, 1, 1, 1])
        other = Grid(grid.shape, grid.affine @ turn)
    write_mask(label_of(config), np.ones(grid.shape), other)
    if isinstance(voxels, float) and voxels < 0.5:
        told = done("check", "--config", config)
        assert (words or "") in told.output
        assert (words is None) == ("voxels beside" not in told.output)
        return
    text = faults_of(config)
    assert (words or "voxels") in text
    assert "P1" in text


def with_forms(path: Path, sform: np.ndarray | None, qform: np.ndarray | None) -> None:
    image = nibabel.Nifti1Image(np.asarray(nibabel.load(path).dataobj, dtype=np.float32), None)
    image.header.set_zooms((1.0, 1.2, 2.5))  # first: nibabel writes an sform where it no longer has the same affine
    image.set_sform(sform, code=0 if sform is None else 1)
    image.set_qform(qform, code=0 if qform is None else 1, strip_shears=False)
    nibabel.save(image, path)


FORMS = {
    "they disagree": (np.diag([1.0, 1.2, 2.5, 1]), np.diag([1.0, 1.2, 2.5, 1]) + np.eye(4, k=3) * 7),
    "neither": (None, None),
    "a shear of 1e-4": (np.diag([1.0, 1.2, 2.5, 1]) + 1e-4 * np.eye(4, k=1), None),
    "a shear of 0.3": (np.diag([1.0, 1.2, 2.5, 1]) + 0.3 * np.eye(4, k=1), None),
}
SAID_OF_FORMS = {"they disagree": "its sform and qform are 7 voxels apart", "neither": "neither sform nor qform is set"}


@fault("F7", "sform and qform disagree, or neither is set", then="0, noted by `check` and by `fit`")
@pytest.mark.parametrize("what", SAID_OF_FORMS)
def test_a_scan_that_says_twice_where_it_lies_or_not_at_all_is_noted(tmp_path: Path, what: str) -> None:
    config, quick = small_study(tmp_path), ("training.epochs=1", "training.steps_per_epoch=1")
    for file in (image_of(config), label_of(config)):
        with_forms(file, *FORMS[what])
    for told in (
        done("check", "--config", config),
        done("fit", "--config", config, *quick, "--run", tmp_path / "run"),
    ):
        assert f"P1: {SAID_OF_FORMS[what]}" in " ".join(told.output.split())


@fault("F7", "sform and qform disagree, neither is set, shears of 1e-4 and 0.3", then="0, a mask has those of its scan")
@pytest.mark.parametrize("what", FORMS)
def test_a_mask_says_where_it_lies_as_its_scan_does(trained: Trained, tmp_path: Path, what: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    scan = images / "P0.nii.gz"
    shutil.copy(image_of(trained.config, "P0"), scan)
    with_forms(scan, *FORMS[what])
    before = contents(images)
    told = done("predict", "--run", trained.run, "--images", images, "--out", tmp_path / "out")
    assert contents(images) == before
    for case, words in SAID_OF_FORMS.items():
        assert (words in " ".join(told.output.split())) == (case == what)
    mask = gzip.decompress((tmp_path / "out" / "predictions" / "P0.nii.gz").read_bytes())[:348]
    own = gzip.decompress(scan.read_bytes())[:348]
    one, other = (nibabel.Nifti1Header(block, check=False) for block in (mask, own))
    for key in ("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "qoffset_x", "pixdim"):
        assert np.array_equal(one[key], other[key]), key


@fault("F8", "the same scan under two names, on both sides", then="3, the cases as a pair")
def test_a_scan_that_trains_and_judges_is_named(tmp_path: Path) -> None:
    config = small_study(tmp_path, cases=4)
    for case in ("P1", "P2", "P3"):  # whoever judges, an equal one trains
        shutil.copy(image_of(config, "P0"), image_of(config, case))
        shutil.copy(label_of(config, "P0"), label_of(config, case))
    problems = refused("fit", "--config", config, "--run", tmp_path / "run", code=3)
    text = words_of(problems)
    assert "P0" in text
    assert any(other in text for other in ("P1", "P2", "P3"))


PAIRS = {
    "both empty": (np.zeros(SHAPE), np.zeros(SHAPE), "true negative"),
    "one voxel": (np.eye(1, np.prod(SHAPE)).reshape(SHAPE), np.eye(1, np.prod(SHAPE)).reshape(SHAPE), 1.0),
    "the whole image": (np.ones(SHAPE), np.ones(SHAPE), 1.0),
    "only the reference is empty": (np.ones(SHAPE), np.zeros(SHAPE), 0.0),
    "only the prediction is empty": (np.zeros(SHAPE), np.ones(SHAPE), 0.0),
}


@fault("F27", "both masks empty, one empty, one voxel, the whole image", then="0, a status each; the counts add up")
def test_odd_masks_have_rows_with_their_status(tmp_path: Path) -> None:
    for number, (prediction, reference, _) in enumerate(PAIRS.values()):
        write_mask(tmp_path / "p" / f"c{number}.nii.gz", prediction)
        write_mask(tmp_path / "r" / f"c{number}.nii.gz", reference)
    out = tmp_path / "out"
    masks = ("--predictions", tmp_path / "p", "--labels", tmp_path / "r", "--label", "organ=1", "--metric", "dice")
    metrics = answer("eval", *masks, "--out", out)["metrics"]
    found = {row["case"]: row for row in rows(out / "cases.csv") if row["metric"] == "dice"}
    assert len(found) == len(PAIRS)
    for number, (_, _, wanted) in enumerate(PAIRS.values()):
        value = found[f"c{number}"]["value"]
        assert value == "" if wanted == "true negative" else float(value) == wanted
    dice = metrics["labels"]["organ"]["dice"]
    assert dice["n"] + dice["n_undefined"] == len(PAIRS)


def pair(shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    grid = phantoms.grid(shape)
    return phantoms.ellipsoid(grid), phantoms.ellipsoid(grid, centre=(0.55, 0.5, 0.45), radius=(0.3, 0.2, 0.3))


CHANGES = {
    "flipped": (lambda a: a[::-1], np.diag([1.0, 1.2, 2.5, 1]), 1.0),
    "padded": (lambda a: np.pad(a, 3), np.diag([1.0, 1.2, 2.5, 1]), 1.0),
    "axes exchanged with their spacing": (lambda a: a.transpose(2, 0, 1), np.diag([2.5, 1.0, 1.2, 1]), 1.0),
    "twice the spacing": (lambda a: a, np.diag([2.0, 2.4, 5.0, 1]), 2.0),
}


@fault("F28", "masks flipped, padded, axes exchanged, spacing doubled", then="0, the same Dice; distances in mm follow")
@pytest.mark.parametrize("what", CHANGES)
def test_scores_do_not_depend_on_how_a_pair_is_stored(tmp_path: Path, what: str) -> None:
    change, affine, factor = CHANGES[what]
    scored = []
    for name, turn, frame in (("plain", lambda a: a, np.diag([1.0, 1.2, 2.5, 1])), ("changed", change, affine)):
        for folder, mask in zip(("p", "r"), pair(), strict=True):
            array = np.ascontiguousarray(turn(mask))
            write_mask(tmp_path / name / folder / "a.nii.gz", array, Grid(array.shape, frame))
        places = ("--predictions", tmp_path / name / "p", "--labels", tmp_path / name / "r", "--label", "organ=1")
        told = answer("eval", *places, "--metric", "dice", "--metric", "hd95", "--out", tmp_path / name / "out")
        scored.append(told["metrics"]["mean"])
    assert scored[1]["dice"] == pytest.approx(scored[0]["dice"], abs=1e-12)
    assert scored[1]["hd95"] == pytest.approx(factor * scored[0]["hd95"], rel=1e-5)


@fault("F27", "a prediction of a case without a reference", then="told: 0 or 1, and it is named")
def test_an_extra_prediction_is_named(tmp_path: Path) -> None:
    for folder, names in (("p", ("a", "b", "extra")), ("r", ("a", "b"))):
        for name in names:
            write_mask(tmp_path / folder / f"{name}.nii.gz", np.ones(SHAPE), plain_grid())
    places = ("--predictions", tmp_path / "p", "--labels", tmp_path / "r", "--label", "organ=1", "--metric", "dice")
    from tests.cli.commands import segtrain

    told = segtrain("eval", *places, "--out", tmp_path / "out")
    assert told.exit_code in (0, 1)
    assert "extra" in told.output
