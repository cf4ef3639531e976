"""`segtrain doctor`: what this machine and this installation can do, and what is known to go wrong with them.

Each part is tried rather than looked up: packages are imported, files are written and read, and a real training step
runs on each device. Torch is imported only once it is known to import.
"""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import numpy as np

from segtrain.core.errors import Problem
from segtrain.core.machine import (
    PROC,
    available_ram_bytes,
    free_disk_bytes,
    processor,
    ram_bytes,
    said_by,
    usable_cores,
)

MODULES = {"pyyaml": "yaml", "simpleitk": "SimpleITK", "pillow": "PIL"}
"""Packages that are imported under another name."""

OPTIONAL = {
    "tensorboard": ("tensorboard", "training.watch: [tensorboard]"),
    "mlflow": ("mlflow", "training.watch: [mlflow]"),
    "keras": ("keras", "the losses as losses of Keras"),
    "onnx": ("onnx", "segtrain export --to onnx"),
    "ray": ("ray", "segtrain compare-losses --executor ray"),
}
"""Extra -> the module it brings, and what it is good for."""

GIB = 2**30
LITTLE_RAM, LITTLE_DISK = 4 * GIB, 2 * GIB
"""Less than this is soon too little for 3D scans."""


@dataclass(frozen=True)
class Health:
    """What was found."""

    facts: dict[str, Any]
    """Plain values, section by section."""
    faults: list[Problem] = field(default_factory=list)
    """What keeps segtrain from working."""
    warnings: list[Problem] = field(default_factory=list)
    """What works, and is known to be slow, little, or other than meant."""


def examine() -> Health:
    """Try everything; raises nothing for what it finds."""
    health = Health(_system())
    health.facts["packages"] = _packages(health)
    if not health.faults:
        _try_work(health)
    health.facts["optional"] = _optional()
    health.warnings.extend(_warnings(health.facts))
    return health


def _system() -> dict[str, Any]:
    """The machine, and what it lets this process have."""
    places = {str(Path.cwd()): Path.cwd(), tempfile.gettempdir(): Path(tempfile.gettempdir())}
    return {
        "segtrain": _version("segtrain"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "prefix": sys.prefix,
        "system": platform.platform(),
        "processor": processor(),
        "cores": {"usable": usable_cores(), "installed": os.cpu_count()},
        "ram_bytes": {"size": ram_bytes(), "free": available_ram_bytes()},
        "disk_free_bytes": {name: free_disk_bytes(place) for name, place in places.items()},
    }


def _packages(health: Health) -> dict[str, Any]:
    """Version of each package that segtrain needs; what is missing, too old or broken is a fault."""
    found: dict[str, Any] = {}
    hint = "pip install --force-reinstall segtrain, in a fresh environment"
    for name, least in required_packages().items():
        found[name] = installed = _version(name)
        try:
            importlib.import_module(MODULES.get(name.lower(), name.lower().replace("-", "_")))
        except Exception as error:  # a broken wheel raises what it likes
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            health.faults.append(Problem(f"{name} cannot be imported", why=why, hint=hint))
            continue
        if installed and release(installed) < release(least):
            what = f"{name} {installed} is older than {least}"
            health.faults.append(Problem(what, hint=f"pip install '{name}>={least}'"))
    return found


def required_packages() -> dict[str, str]:
    """Package -> the oldest version that is enough, as this installation declares them; none where it is not known."""
    try:
        declared = requires("segtrain") or []
    except PackageNotFoundError:
        return {}
    plain = (re.match(r"([\w.-]+)\s*(?:>=\s*([\w.]+))?", text) for text in declared if "extra ==" not in text)
    return {match[1]: match[2] or "0" for match in plain if match}


def release(text: str) -> tuple[int, ...]:
    """`2.10.0+cpu` as (2, 10, 0)."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _try_work(health: Health) -> None:
    """What only works once all packages import: devices, formats, distances."""
    from segtrain.core.distance import distance_mm
    from segtrain.data.files.codecs import codec_faults
    from segtrain.recipes.device_probe import device_faults, devices, probe, torch_facts, torch_warnings

    health.facts["torch"] = torch_facts()
    found = [probe(device) for device in devices()]
    health.facts["devices"] = [device.to_json() for device in found]
    health.faults.extend(device_faults(found))
    health.warnings.extend(torch_warnings(health.facts["torch"]))
    health.facts["formats"] = formats = codec_faults()
    hint = "pip install --force-reinstall nibabel SimpleITK"
    health.faults.extend(Problem(f"{name} cannot be read", why=why, hint=hint) for name, why in formats.items() if why)
    health.faults.extend(distance_faults(distance_mm))


def distance_faults(distance_mm: Callable[..., Any]) -> Iterator[Problem]:
    """Distances are counted by a compiled package; three voxels in a row tell whether it counts."""
    mask = np.array([True, False, False]).reshape(3, 1, 1)
    try:
        found = np.asarray(distance_mm(~mask, (2.0, 1.0, 1.0))).ravel().tolist()
    except Exception as error:
        found = [f"{type(error).__name__}: {error}"]
    if found != [0.0, 2.0, 4.0]:
        why = f"a voxel 2 mm and one 4 mm away are found at {found}"
        yield Problem("distances are wrong", why=why, hint="pip install --force-reinstall edt")


def _optional() -> dict[str, Any]:
    """Of each extra: the version, or how to install it, and what it is good for."""
    found = {}
    for extra, (module, purpose) in OPTIONAL.items():
        installed = _version(module) or _version(f"{module}-skinny")
        found[extra] = {"version": installed, "purpose": purpose, "install": f"pip install 'segtrain[{extra}]'"}
    return found


def _warnings(facts: Mapping[str, Any]) -> Iterator[Problem]:
    """Little room, and mixtures that are known to be slow."""
    ram = facts["ram_bytes"]["size"]
    if ram is not None and ram < LITTLE_RAM:
        yield Problem("little memory", why=f"{ram / GIB:.1f} GiB", hint="set a small model.patch_size")
    for place, free in facts["disk_free_bytes"].items():
        if free is not None and free < LITTLE_DISK:
            yield Problem("little room on the disk", place, f"{free / GIB:.1f} GiB", "free some, or set data.store")
    if sys.platform == "darwin" and said_by("sysctl", "-n", "sysctl.proc_translated") == "1":
        yield Problem("Python is translated from Intel to this Mac", hint="install an arm64 Python: it is much faster")
    runtimes = openmp_runtimes(_loaded_libraries())
    if {"iomp5", "gomp"} <= runtimes:
        why = "Intel's and GNU's are loaded side by side: each starts its own threads, and some programs hang"
        yield Problem("two OpenMP runtimes", why=why, hint="install numpy and torch from one source, pip or conda")


def _loaded_libraries() -> str:
    """Of this process, where the system lists them."""
    try:
        return (PROC / "self" / "maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def openmp_runtimes(libraries: str) -> set[str]:
    """`gomp`, `iomp5`, `omp` among the names of loaded libraries."""
    return set(re.findall(r"/lib(gomp|iomp5|omp)[\w.-]*\.(?:so|dylib)", libraries))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
