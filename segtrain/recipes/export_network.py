"""A network as a file that runs without segtrain, and the proof that it answers alike.

ONNX comes from `torch.export`, PyTorch's current exporter. TorchScript is deprecated (PyTorch 2.13 warns at each call),
and still what libtorch, MONAI Deploy and many viewers of hospitals load; so it is offered, and that warning is silenced
here and nowhere else.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtrain.core.errors import CheckFailed, ConfigError, Problem, SegtrainError
from segtrain.core.plan import Plan

Form = Literal["onnx", "torchscript"]
"""What a network can be exported as."""

Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Images (B, channels, *S) -> logits (B, outputs, *S)."""

FILES: dict[Form, str] = {"onnx": "model.onnx", "torchscript": "model.pt"}
INPUT, OUTPUT = "image", "logits"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
BATCHES = (1, 2)
"""Sizes of the batches on which both are compared."""
TOLERANCE = 1e-3
"""Share of the largest logit by which a logit may differ. U-Nets trained on the hippocampus came out 4e-5 apart."""
SEED = 0
"""Of the patches on which both are compared."""


@dataclass(frozen=True)
class Agreement:
    """How an exported network and its original answered to the same random patches, batches of 1 and of 2."""

    largest_difference: float
    largest_logit: float

    @property
    def allowed(self) -> float:
        """The largest difference that is none."""
        return TOLERANCE * max(1.0, self.largest_logit)


class Finest(nn.Module):
    """A network that answers with its finest logits alone: (B, channels, *S) -> (B, outputs, *S)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        finest: Tensor = self.network(image)[0]
        return finest


def require_packages(form: Form) -> None:
    """ConfigError where what writes or checks a form is not installed."""
    missing = [name for name in PACKAGES if form == "onnx" and find_spec(name) is None]
    if missing:
        what = f"{form} needs {', '.join(missing)}, not installed here"
        raise ConfigError(Problem(what, "--to onnx", hint="pip install 'segtrain[onnx]'"))


def write_network(path: Path, network: nn.Module, plan: Plan, form: Form) -> Agreement:
    """Write a network (on the CPU, as it predicts) and compare what was written with it; any number of patches a batch.

    ConfigError where PyTorch cannot export the network; CheckFailed where the file answers otherwise, which is then
    not to be used.
    """
    finest = Finest(network).eval()
    with _told(form):
        _WRITERS[form](path, finest, torch.from_numpy(_patches(plan, max(BATCHES))))
        return _agreement(finest, _RUNNERS[form](path), plan, form)


def _agreement(finest: Finest, exported: Runner, plan: Plan, form: Form) -> Agreement:
    differences, sizes = [], []
    for count in BATCHES:
        patches = _patches(plan, count)
        with torch.inference_mode():
            wanted = finest(torch.from_numpy(patches)).numpy()
        found = exported(patches)
        if found.shape != wanted.shape:
            raise CheckFailed(Problem(f"the {form} network answers {found.shape} instead of {wanted.shape}"))
        differences.append(np.abs(found - wanted).max())
        sizes.append(np.abs(wanted).max())
    agreement = Agreement(float(np.max(differences)), float(np.max(sizes)))
    if not agreement.largest_difference <= agreement.allowed:  # nor where it is not a number
        what = f"the {form} network does not answer as the original does"
        found_and_allowed = f"{agreement.largest_difference:.3g}, {agreement.allowed:.3g} are allowed"
        why = f"on random patches logits differ by {found_and_allowed}"
        raise CheckFailed(Problem(what, why=why, hint="export it in the other form, and report this"))
    return agreement


def input_size(plan: Plan) -> list[int]:
    """Voxels of a patch as the network takes it: a 2D network takes slices."""
    return [size for axis, size in enumerate(plan.patch_size) if axis != plan.slice_axis]


def _patches(plan: Plan, count: int) -> NDArray[np.float32]:
    """Noise with the mean and deviation of a normalised scan."""
    shape = count, len(plan.channels), *input_size(plan)
    return np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)


def _write_onnx(path: Path, finest: Finest, images: Tensor) -> None:
    program = torch.onnx.export(
        finest,
        (images,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1)}},
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave nothing")
    program.save(path)


def _run_onnx(path: Path) -> Runner:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        (logits,) = session.run([OUTPUT], {INPUT: images})
        found: NDArray[np.float32] = logits
        return found

    return run


def _write_torchscript(path: Path, finest: Finest, images: Tensor) -> None:
    with torch.inference_mode():
        traced: Any = torch.jit.trace(finest, images)
    torch.jit.save(torch.jit.freeze(traced), str(path))


def _run_torchscript(path: Path) -> Runner:
    loaded = torch.jit.load(str(path))

    def run(images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = loaded(torch.from_numpy(images)).numpy()
        return found

    return run


_WRITERS: dict[Form, Callable[[Path, Finest, Tensor], None]] = {"onnx": _write_onnx, "torchscript": _write_torchscript}
_RUNNERS: dict[Form, Callable[[Path], Runner]] = {"onnx": _run_onnx, "torchscript": _run_torchscript}


@contextmanager
def _told(form: Form) -> Iterator[None]:
    """What goes wrong in an exporter, which promises no kind of error, becomes a ConfigError; it is kept quiet."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)  # which operations of torchvision it did not find
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (SegtrainError, OSError, MemoryError):
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
        hint = "a network of your own must not branch on values; try the other form"
        raise ConfigError(Problem(f"PyTorch cannot export this network as {form}", "--to", why, hint)) from error
    finally:
        logger.setLevel(before)
