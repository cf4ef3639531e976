"""Base of everything a person may write in the YAML: frozen, and unknown keys are refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Settings(BaseModel):
    """A frozen group of settings. Each room derives its own; `config.schema` composes them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def as_component(value: Any) -> Any:
    """A component that was written as its bare name, as a mapping."""
    return {"name": value} if isinstance(value, str) else value


class Component(Settings):
    """A registered thing by name, with its options beside it, `{name: tversky, fn_weight: 0.7}`, or its bare name."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True)

    name: str
    """A registered name, `file.py:Class` (relative to the YAML) or `package.module:Class`."""

    @model_validator(mode="before")
    @classmethod
    def _may_be_a_name(cls, value: Any) -> Any:
        return as_component(value)

    @property
    def options(self) -> dict[str, Any]:
        """The options as they were written; the registry checks them against the signature."""
        return dict(self.model_extra or {})
