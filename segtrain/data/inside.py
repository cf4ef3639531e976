"""Names that a file of the data set gives: they may point below its root and nowhere else.

A dataset.json comes with the data, from whoever made them. It must not decide which other files of this machine are
read: not by `..`, not by an absolute path or a drive, not by a link.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from segtrain.core.errors import Problem

FIX_NAME = "put the files below the root, or list them in a table of your own (data.table), which may lead anywhere"


def path_below(root: Path, name: str, where: str, problems: list[Problem]) -> Path | None:
    """The path that a name means below `root`, whether or not it is there; None where it leads out, a problem."""
    windows = PureWindowsPath(name)
    strange = not name.strip() or not name.isprintable() or "\\" in name
    if strange or windows.drive or windows.root or PurePosixPath(name).is_absolute() or ".." in windows.parts:
        why = "it must be a relative path with / between folders, without .."
        problems.append(Problem(f"the name {name!r} may lead out of the data set", where, why, FIX_NAME))
        return None
    path = root / name
    return path if is_below(root, path, problems) else None


def is_below(root: Path, path: Path, problems: list[Problem]) -> bool:
    """Whether a path stays below `root` when its links are followed; else that is a problem."""
    try:
        real, home = path.resolve(), root.resolve()
    except (OSError, RuntimeError):  # the latter up to Python 3.12, for a link that leads to itself
        why = "it leads to itself, or its name is too long"
        problems.append(Problem("a name of the data set cannot be followed", str(path), why, FIX_NAME))
        return False
    if real.is_relative_to(home):
        return True
    problems.append(Problem("a link leads out of the data set", str(path), f"it points to {real}", FIX_NAME))
    return False
