"""The options of a loss as a config has them -> as the loss takes them: labels by name, ignored voxels by the task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.nearest import did_you_mean

CLASS_WEIGHTS = "class_weights"


def options_for(options: Mapping[str, Any], outputs: tuple[str, ...]) -> dict[str, Any]:
    """Options, those of parts among them, with class weights as a list in order of the outputs' labels.

    `class_weights: {tumour: 3}` becomes one number an output, 1 where a label is not named. ConfigError lists every
    label that is none, every list of another length, and `ignore_label`, which is the task's.
    """
    raise_all(ConfigError, _faults(options, outputs, "loss"))
    return {key: _translated(key, value, outputs) for key, value in options.items()}


def _translated(key: str, value: Any, outputs: tuple[str, ...]) -> Any:
    if isinstance(value, list | tuple):
        return [_translated("", each, outputs) for each in value]
    if not isinstance(value, Mapping):
        return value
    if key == CLASS_WEIGHTS:
        return [value.get(name, 1.0) for name in outputs]
    return {name: _translated(name, each, outputs) for name, each in value.items()}


def _faults(value: Any, outputs: tuple[str, ...], place: str) -> Iterator[Problem]:
    if isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _faults(each, outputs, f"{place}.{number}")
    if not isinstance(value, Mapping):
        return
    for key, each in value.items():
        here = f"{place}.{key}"
        if key == "ignore_label":
            hint = f"task.ignore: {each} leaves these voxels out of the loss, the patches and the scores"
            yield Problem("which voxels do not count is a matter of the task", here, hint=hint)
        elif key == CLASS_WEIGHTS and isinstance(each, Mapping):
            for name in each:
                if name not in outputs:
                    yield Problem(f"no output is called {name!r}", here, hint=did_you_mean(str(name), outputs, "label"))
        elif key == CLASS_WEIGHTS and isinstance(each, list | tuple) and len(each) != len(outputs):
            what = f"{len(each)} weights for {len(outputs)} outputs"
            hint = f"one each, in this order: {', '.join(outputs)}; or by name, as {{{outputs[-1]}: 2}}"
            yield Problem(what, here, hint=hint)
        else:
            yield from _faults(each, outputs, here)
