"""What users script against: the names, and what importing them costs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import segtrain
from segtrain.losses import build_loss, list_losses
from segtrain.metrics import score

PACKAGE = Path(segtrain.__file__).parent
FOREIGN = {"nibabel", "pydicom", "SimpleITK", "typer", "rich", "matplotlib", "jinja2", "pandas", "yaml"}
FOREIGN |= {"monai", "keras", "highdicom", "onnx", "onnxscript", "onnxruntime"}
SETTINGS = sorted(f"segtrain.{p.parent.name}.settings" for p in PACKAGE.glob("*/settings.py"))
CASES = {
    "the package": (["segtrain"], FOREIGN | {"torch", "numpy"}),
    # Pydantic may come: it checks the options of a loss, and nobody has one without building it. SciPy, which takes as
    # long as all else together, comes when the first is built.
    "losses": (["segtrain.losses"], FOREIGN | {"scipy", "edt"}),
    "metrics": (["segtrain.metrics"], FOREIGN | {"torch"}),
    "config": (["segtrain.config.load"], FOREIGN - {"yaml"} | {"torch"}),
    "settings": (SETTINGS, FOREIGN | {"torch"}),
}


def imported_by(modules: list[str]) -> set[str]:
    """Top-level names that a fresh Python has loaded after importing these."""
    imports = f"import json, sys, {', '.join(modules)}"
    code = f"{imports}; print(json.dumps(sorted({{m.partition('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_settings_are_found():
    assert len(SETTINGS) >= 5


@pytest.mark.parametrize(("modules", "unwanted"), CASES.values(), ids=CASES)
def test_an_import_loads_no_more_than_it_needs(modules, unwanted):
    loaded = imported_by(modules)
    assert "segtrain" in loaded
    assert loaded & unwanted == set()


@pytest.mark.parametrize(
    ("module", "names"),
    [("segtrain.losses", {"Loss", "build_loss", "list_losses"}), ("segtrain.metrics", {"score"})],
)
def test_a_room_gives_exactly_its_public_names(module, names):
    found = importlib.import_module(module)
    assert set(found.__all__) == names
    assert all(callable(getattr(found, name)) for name in names)


def test_a_loss_is_built_by_its_name_and_called_with_tensors():
    loss = build_loss("tversky", fp_weight=0.3, fn_weight=0.7)
    assert isinstance(loss, torch.nn.Module)
    value = loss(torch.zeros(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.int64))
    assert value.shape == ()
    assert "tversky" in list_losses()


def test_two_masks_are_scored_label_by_label():
    mask = np.zeros((3, 3, 3), np.uint8)
    mask[1] = 1
    found = score(mask, mask, spacing_mm=(1.0, 1.0, 1.0), metrics=["dice"])
    ((_, scores),) = found.items()
    assert (scores["dice"].value, scores["dice"].status) == (1.0, "ok")
