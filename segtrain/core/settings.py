"""Base of everything a person may write in the YAML: frozen, and unknown keys are refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen group of settings. Each room derives its own; `config.schema` composes them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Component(Settings):
    """A registered thing by name, with its options beside it: `{name: tversky, fn_weight: 0.7}`."""

    model_config = ConfigDict(frozen=True, extra="allow", validate_default=True)

    name: str
    """A registered name, `file.py:Class` (relative to the YAML) or `package.module:Class`."""

    @property
    def options(self) -> dict[str, Any]:
        """The options as they were written; the registry checks them against the signature."""
        return dict(self.model_extra or {})
