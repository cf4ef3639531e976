"""Names of files and folders that a person makes up: good on every system, since runs and masks are carried about.

What lies on a disk already has a name, and is read as it is.
"""

from __future__ import annotations

import re

DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]) *(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for itself, whatever their suffix (Microsoft, "Naming Files, Paths, and Namespaces")."""


def is_kept_by_windows(name: str) -> bool:
    """Whether Windows refuses a name or takes it for another: that of a device, or with a dot or blank at its end."""
    return name.endswith((".", " ")) or DEVICES.fullmatch(name) is not None
