"""What the pages show as Python runs as it is shown."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LOSSES = ROOT / "docs" / "using_losses_elsewhere.md"
HEADING_OR_BLOCK = re.compile(
    r"^#+ (?P<heading>[^\n]*)$|^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks(page: Path) -> dict[str, str]:
    """Heading -> the Python below it; further blocks of a heading are numbered."""
    found: dict[str, str] = {}
    heading = ""
    for match in HEADING_OR_BLOCK.finditer(page.read_text(encoding="utf-8")):
        if match["heading"] is not None:
            heading = match["heading"]
        elif match["language"] == "python":
            again = sum(name.startswith(heading) for name in found)
            found[f"{heading} {again + 1}" if again else heading] = match["code"]
    return found


def missing_packages(code: str) -> list[str]:
    """Top-level names that a block imports and this Python has not."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return sorted(name for name in names if importlib.util.find_spec(name) is None)


def run(code: str, name: str) -> dict[str, object]:
    names: dict[str, object] = {"__name__": "documented"}
    exec(compile(code, name, "exec"), names)
    return names


EVERY = {f"{page.stem}: {heading}": code for page in PAGES for heading, code in blocks(page).items()}
RUNNABLE = blocks(LOSSES)
WEIGHTS = (2 / 3, 1 / 3, 0)
"""nnU-Net's, of three stages."""


def test_the_blocks_are_found():
    assert list(RUNNABLE) == ["Plain PyTorch", "MONAI", "PyTorch Lightning", "nnU-Net v2", "Keras 3"]
    assert "README: In Python" in EVERY


@pytest.mark.parametrize("name", EVERY)
def test_a_block_is_python(name):
    compile(EVERY[name], name, "exec")


@pytest.mark.parametrize("name", RUNNABLE)
# Warnings are those of other libraries, and of no concern to who copies a block.
@pytest.mark.filterwarnings("ignore")
def test_a_block_runs(name, tmp_path, monkeypatch):
    missing = missing_packages(RUNNABLE[name])
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    run(RUNNABLE[name], name)


class Stages(nn.Module):
    """Stands for nnU-Net's DeepSupervisionWrapper: the weighted sum of `loss` over outputs and targets."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, outputs, targets):
        return sum(w * self.loss(x, y) for w, x, y in zip(WEIGHTS, outputs, targets, strict=True))


class StandIn:
    """Stands for nnUNetTrainer where nnU-Net is not installed."""

    def _build_loss(self):
        return Stages(nn.CrossEntropyLoss()) if self.enable_deep_supervision else nn.CrossEntropyLoss()


@pytest.fixture
def trainer(monkeypatch):
    """A trainer of the documented class, without the plans and folders that a real one reads; 3 stages in 2D."""
    code = RUNNABLE["nnU-Net v2"]
    if missing_packages(code):
        parts = ["nnunetv2", "training", "nnUNetTrainer", "nnUNetTrainer"]
        for depth in range(len(parts)):
            monkeypatch.setitem(sys.modules, ".".join(parts[: depth + 1]), ModuleType(parts[depth]))
        sys.modules[".".join(parts)].nnUNetTrainer = StandIn
    made = object.__new__(run(code, "nnU-Net v2")["nnUNetTrainerSegtrain"])
    made.label_manager = SimpleNamespace(has_regions=False, ignore_label=None)
    made.configuration_manager = SimpleNamespace(batch_dice=True, pool_op_kernel_sizes=[[1, 1], *3 * [[2, 2]]])
    made.enable_deep_supervision = True
    made.is_ddp = False
    made.device = torch.device("cpu")
    return made


@pytest.mark.filterwarnings("ignore")
class TestNnunet:
    @staticmethod
    def batch(size, outputs=3):
        return torch.zeros(2, outputs, size, size), torch.arange(2 * size**2).view(2, 1, size, size) % 3

    def test_each_stage_is_measured(self, trainer):
        loss = trainer._build_loss()
        pairs = [self.batch(size) for size in (8, 4, 2)]
        outputs, targets = [x for x, _ in pairs], [y.short() for _, y in pairs]
        assert set(loss.loss.parts) == {"dice", "topk_ce"}
        expected = sum(w * loss.loss(x, y) for w, (x, y) in zip(WEIGHTS, pairs, strict=True))
        assert loss(outputs, targets).item() == pytest.approx(expected.item())

    def test_without_deep_supervision(self, trainer):
        trainer.enable_deep_supervision = False
        assert trainer._build_loss()(*self.batch(8)).isfinite()

    def test_ignored_voxels(self, trainer):
        trainer.label_manager.ignore_label = 2
        trainer.enable_deep_supervision = False
        logits, target = self.batch(8, outputs=2)
        assert trainer._build_loss()(logits, target).isfinite()

    def test_regions(self, trainer):
        trainer.label_manager.has_regions = True
        trainer.enable_deep_supervision = False
        loss = trainer._build_loss()
        logits, target = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8, dtype=torch.bool)
        assert loss(logits, target).isfinite()
        with pytest.raises(ValueError, match="a multilabel target must be"):
            loss(logits, torch.ones(2, 4, 8, 8, dtype=torch.bool))
