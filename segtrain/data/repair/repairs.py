"""Repairs that put values into a scan which nobody measured: none is made unless it is asked for by its name.

Reading stays strict: a scan with such a fault is refused, and the refusal names the repair. `segtrain check --fix DIR
--repair NAME` writes a repaired copy, and `fixes.csv` says what was done to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from segtrain.core.errors import ConfigError, Problem, raise_all
from segtrain.core.nearest import did_you_mean
from segtrain.core.settings import Settings

RepairName = Literal["missing-slices", "uneven-slices", "tilt", "nan"]

WHAT: Mapping[RepairName, str] = {
    "missing-slices": "interpolates them between their neighbours",
    "uneven-slices": "interpolates slices at the smallest distance there is",
    "tilt": "moves them upright, within their plane",
    "nan": "gives them a value",
}
"""Name -> what the repair does with the slices or voxels that are told."""


LARGEST = (2 - 2**-23) * 2.0**127
"""The largest number of float32, as which values are kept: what lies beyond it would become infinite."""


class Repairs(Settings):
    """Which repairs were asked for."""

    missing_slices: bool = False
    uneven_slices: bool = False
    tilt: bool = False
    nan: Annotated[float, Field(ge=-LARGEST, le=LARGEST)] | None = None
    """The value that voxels get which are no numbers; null: none is."""

    def include(self, name: RepairName | None) -> bool:
        """Whether a repair was asked for; that of a fault which has none never is."""
        plain = {"missing-slices": self.missing_slices, "uneven-slices": self.uneven_slices, "tilt": self.tilt}
        return self.nan is not None if name == "nan" else plain.get(name or "", False)


NO_REPAIR = Repairs()


def asked_for(words: Sequence[str]) -> Repairs:
    """The repairs that `missing-slices`, `nan=-1024` and the like ask for. ConfigError with every word that is none."""
    values: dict[str, bool | float] = {}
    problems: list[Problem] = []
    for word in words:
        name, equals, text = word.partition("=")
        if name not in WHAT:
            near, known = did_you_mean(name, list(WHAT), "repair"), f"known repair names: {', '.join(sorted(WHAT))}"
            hint = near if near == known else f"{near} {known}"
            problems.append(Problem(f"there is no repair {name!r}", "--repair", hint=hint))
        elif name in values:
            problems.append(Problem(f"the repair {name} is asked for twice", "--repair", hint="once is enough"))
        elif name == "nan":
            value = _number(text)
            if value is None:
                finite = f"nan needs a finite number, not {text!r}: float32 ends at {LARGEST:.2g}"
                what = finite if equals else "nan needs the value that voxels get"
                problems.append(Problem(what, "--repair", hint="for example --repair nan=-1024, which is air in a CT"))
            values[name] = 0.0 if value is None else value
        else:
            if equals:
                problems.append(Problem(f"{name} takes no value", "--repair", hint=f"--repair {name}"))
            values[name] = True
    raise_all(ConfigError, problems)
    return Repairs.model_validate({name.replace("-", "_"): value for name, value in values.items()})


def how_to(name: RepairName) -> str:
    """The end of a hint: which command makes the repair."""
    option = "nan=VALUE" if name == "nan" else name
    return f"`segtrain check --fix DIR --repair {option}` {WHAT[name]}"


def _number(text: str) -> float | None:
    """A number that is finite in float32; None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None
