"""How large a scan is, from its header alone: for those who ask for room before anything is read."""

from __future__ import annotations

from segtrain.core.case import Case
from segtrain.core.errors import SegtrainError
from segtrain.core.grid import Grid
from segtrain.data.files.formats import format_of
from segtrain.data.files.nifti_grid import grid_of_header
from segtrain.data.files.nifti_header import nifti_errors, opened, read_header


def grid_in_header(case: Case) -> Grid | None:
    """The grid of the scan's first channel; None where its kind does not tell it in a few bytes, or it is damaged."""
    path = case.images[0].path
    if path.is_dir() or format_of(path) != "nifti":
        return None
    try:
        with nifti_errors(path), opened(path) as file:
            return grid_of_header(path, read_header(path, file))[0]
    except SegtrainError:  # told when it is read
        return None
