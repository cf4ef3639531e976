"""Any loss as a Keras 3 loss on the torch backend: `keras_loss("tversky", fn_weight=0.7)`.

What a call means follows Keras: `loss(y_true, y_pred)`, probabilities in `y_pred` unless `from_logits`, channels where
`keras.config.image_data_format()` has them, and truth as class indices or one channel a class. What is measured follows
this package: the value is one number for the batch, that of the same loss called with logits, so there is nothing left
to reduce and no `reduction` to choose.

The import raises ImportError where Keras, or the library behind its backend, is missing. Nothing else here imports
this module: who does not use Keras needs none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from segtrain.core.errors import ConfigError, Problem
from segtrain.core.registry import is_code
from segtrain.losses.base import ModeChoice
from segtrain.losses.registry import build_loss, supported_modes
from segtrain.losses.voxels import Mode

ANOTHER_BACKEND = "set KERAS_BACKEND=torch in the environment, before the first import of keras"

try:
    import keras
except ImportError as error:
    if error.name in (None, "keras"):
        missing = Problem("Keras is not installed", hint="pip install 'segtrain[keras]'")
    else:
        why = f"keras looks for {error.name}, which belongs to another backend than torch"
        missing = Problem("Keras cannot be imported", why=why, hint=ANOTHER_BACKEND)
    raise ImportError("\n".join(missing.lines()), name=error.name) from error

LEAST_PROBABILITY = 1e-30
"""Probabilities below count as this one and get no gradient. Far under Keras' own 1e-7, so that a voxel which is wrong
with certainty still learns, and far enough from the smallest float32 that its inverse is finite."""
NEEDS_LOGITS = {"nacl"}
"""Losses of the logits' own size, which probabilities no longer tell."""
SLACK = 1e-3
"""By how much rounding may carry a probability out of 0 to 1."""


def keras_loss(
    loss: str,
    mode: ModeChoice = "auto",
    /,
    *,
    from_logits: bool = False,
    data_format: str | None = None,
    name: str | None = None,
    dtype: Any = None,
    **options: Any,
) -> KerasLoss:
    """The loss of that name for `model.compile(loss=...)`; `mode` and `options` are those of `build_loss`.

    `data_format` is channels_last or channels_first (None: that of the Keras config), `name` what Keras shows, `dtype`
    what `y_pred` is cast to (None: Keras' float type). ConfigError lists every wrong option, and is raised where the
    backend of Keras is not torch.
    """
    return KerasLoss(
        loss, mode, options=options, from_logits=from_logits, data_format=data_format, name=name, dtype=dtype
    )


@keras.saving.register_keras_serializable(package="segtrain")
class KerasLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras has no types
    """A loss of this package behind the interface of Keras; `module` is the loss itself.

    A loss whose weights follow a schedule is told the progress by `set_progress(loss.module, share)`.
    """

    def __init__(
        self,
        loss: str,
        mode: ModeChoice = "auto",
        *,
        options: Mapping[str, Any] | None = None,
        from_logits: bool = False,
        data_format: str | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        _check_backend()
        # A loss named post/dice would be two scopes to Keras.
        super().__init__(name=name or re.sub(r"\W+", "_", loss), reduction=None, dtype=dtype)
        self.loss = loss
        self.mode = mode
        self.options = dict(options or {})
        self.from_logits = from_logits
        self.data_format = _checked_format(data_format)
        self.module = build_loss(loss, mode, **self.options)
        _check_input(loss, self.options, from_logits)
        self._knows_softmax = "multiclass" in supported_modes(loss)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """As `call`, in the scope of this loss; Keras' own would multiply the scalar with the weights."""
        with keras.name_scope(self.name):
            return self.call(y_true, y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The scalar for y_pred (B, *S, C), two or three spatial axes, in the order of `data_format`.

        `y_true` holds class indices (B, *S) or (B, *S, 1), or a channel a class (B, *S, C): one-hot for exclusive
        classes, membership for independent sigmoids (mode multilabel, or a loss that knows no other). `sample_weight`
        is a weight a voxel, (B, *S) or (B, *S, 1); means are over the weights. A weight of 0 takes no cost from a
        voxel; what lies around it (distances, contours, skeletons, objects, `nacl`) still sees it, which only a mask
        prevents.
        ValueError, with all shapes, where these do not fit together.
        """
        mask = getattr(y_pred, "_keras_mask", None)
        answer: Tensor = keras.ops.convert_to_tensor(y_pred, dtype=self.dtype)
        if answer.is_meta:
            # Keras asks which shape the value has before it trains; there are no numbers to measure yet.
            return answer.sum()
        answer = self._channels_first(answer)
        truth = keras.ops.convert_to_tensor(y_true)
        if truth.ndim == answer.ndim:
            truth = self._channels_first(truth)
        mode = self._mode_of(truth, answer)
        logits = answer if self.from_logits else logits_of(answer, mode)
        voxelwise = {} if sample_weight is None else {"weight_map": self._weight_map(sample_weight, answer)}
        if mask is not None:
            voxelwise["mask"] = mask
        # A plain attribute: Keras does not move it to the device of the model.
        value: Tensor = self.module.to(logits.device)(logits, target_of(truth, answer, mode), **voxelwise)
        return value

    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs to build this loss again, options as they were given."""
        return {
            "loss": self.loss,
            "mode": self.mode,
            "options": self.options,
            "from_logits": self.from_logits,
            "data_format": self.data_format,
            "name": self.name,
            "dtype": self.dtype,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The loss of that config. ConfigError where it names code of the user's: a model file must not run any."""
        for name in (config["loss"], *_names_in(config.get("options"))):
            if is_code(name):
                hint = "load_model(path, compile=False), then compile with keras_loss(...)"
                raise ConfigError(
                    Problem(f"loss {name!r} is not loaded from a model file", why="it is code", hint=hint)
                )
        return cls(**config)

    def _channels_first(self, values: Tensor) -> Tensor:
        return values.movedim(-1, 1) if self.data_format == "channels_last" and values.ndim > 2 else values

    def _mode_of(self, truth: Tensor, answer: Tensor) -> Mode:
        if self.mode != "auto":
            return self.mode
        if answer.ndim > 1 and answer.shape[1] == 1:
            return "binary"
        return "multiclass" if self._knows_softmax or truth.shape != answer.shape else "multilabel"

    def _weight_map(self, sample_weight: Any, answer: Tensor) -> Tensor:
        """(B, *S) or (B, 1, *S). ValueError for a weight a sample: a score of the batch has no such parts."""
        weight: Tensor = keras.ops.convert_to_tensor(sample_weight, dtype=self.dtype)
        if weight.ndim == answer.ndim:
            weight = self._channels_first(weight)
        samples, _, *space = answer.shape
        if tuple(weight.shape) not in ((samples, *space), (samples, 1, *space)):
            raise ValueError(
                f"sample_weight must hold a weight a voxel, {(samples, *space)}, not {tuple(weight.shape)}: the loss "
                "is one number for the batch, whose samples cannot be weighted one by one"
            )
        return weight


def logits_of(probabilities: Tensor, mode: Mode) -> Tensor:
    """Logits (B, C, *S), at least float32, whose softmax or sigmoid these probabilities are.

    log p for exclusive classes, which differs from the network's own logits by a constant a voxel and rescales what
    does not sum to 1; log(p / (1 - p)) for sigmoids. p is clamped to `LEAST_PROBABILITY` from below, and for sigmoids
    to the largest number under 1 from above: in float32 logits above 16.6 cannot be told apart. Gradients are finite,
    and 0 where p was clamped. ValueError where these are no probabilities.
    """
    p = probabilities.to(torch.promote_types(probabilities.dtype, torch.float32))
    _check_probabilities(p)
    if mode == "multiclass":
        return p.clamp(min=LEAST_PROBABILITY).log()
    return p.clamp(LEAST_PROBABILITY, 1 - torch.finfo(p.dtype).eps / 2).logit()


def target_of(truth: Tensor, answer: Tensor, mode: Mode) -> Tensor:
    """The truth, channels first, as losses of this package take it.

    Class indices for exclusive classes, also of one-hot channels; anything else as it came, integers of independent
    classes as booleans. ValueError for channels that are not one-hot and for indices that are not whole.
    """
    if mode == "multilabel":
        return truth if truth.is_floating_point() else truth.to(torch.bool)
    if mode == "binary":
        return truth
    if truth.shape == answer.shape:
        return _classes_of(truth)
    # Keras hands labels on as floating point where they came from such an array.
    classes = truth.to(torch.int64)
    if truth.device.type == "cpu" and truth.is_floating_point() and not torch.equal(classes.to(truth.dtype), truth):
        raise ValueError(f"y_true {tuple(truth.shape)} holds class indices, but some are not whole numbers")
    return classes


def _classes_of(channels: Tensor) -> Tensor:
    """Class indices (B, *S) of one-hot channels (B, C, *S)."""
    largest, classes = channels.to(torch.float32).max(1)
    # On a GPU the check would make the step wait.
    if channels.device.type == "cpu" and not ((largest == 1) & (channels.sum(1) == 1)).all():
        raise ValueError(
            f"y_true {tuple(channels.shape)} has a channel a class, but some voxels are not one-hot; pass class "
            "indices, or mode 'multilabel' where the classes are independent"
        )
    return classes


def _check_probabilities(p: Tensor) -> None:
    # On a GPU the check would make the step wait.
    if p.device.type != "cpu" or p.numel() == 0:
        return
    low, high = p.detach().aminmax()
    # Not-a-number passes: the loss becomes one, which is how a training that diverged is recognised.
    if low < -SLACK or high > 1 + SLACK:
        raise ValueError(
            f"y_pred goes from {low.item():g} to {high.item():g}, but holds probabilities; pass from_logits=True, or "
            "end the network with a softmax or sigmoid"
        )


def _check_backend() -> None:
    backend = keras.config.backend()
    if backend != "torch":
        why = "the losses are written in torch, and other backends cannot differentiate through it"
        raise ConfigError(Problem(f"Keras runs on {backend}", why=why, hint=ANOTHER_BACKEND))


def _check_input(loss: str, options: Mapping[str, Any], from_logits: bool) -> None:
    needing = NEEDS_LOGITS.intersection([loss, *_names_in(options)])
    if needing and not from_logits:
        why = f"{', '.join(sorted(needing))} measures the size of logits, which probabilities do not tell"
        hint = "from_logits=True, and a network without softmax"
        raise ConfigError(Problem(f"loss {loss!r} cannot be told from probabilities", why=why, hint=hint))


def _checked_format(data_format: str | None) -> str:
    found = str(keras.config.image_data_format() if data_format is None else data_format)
    if found not in ("channels_last", "channels_first"):
        raise ConfigError(Problem(f"data_format is channels_last or channels_first, not {found!r}"))
    return found


def _names_in(options: Any) -> list[str]:
    """Every value of a key `name`, at any depth: the losses that options are made of."""
    if isinstance(options, Mapping):
        own = [str(options["name"])] if "name" in options else []
        return own + [name for value in options.values() for name in _names_in(value)]
    return [name for value in options for name in _names_in(value)] if isinstance(options, list | tuple) else []
