"""What a case is read from, told by its content: a changed scan is never mistaken for the one it was.

To hash every scan at each start takes a minute for 100 GB. So a hash is remembered, under the state of the files:
path, length, inode, time of the last write and time of the last change. The latter is set by the kernel whenever
content, name or owner change, and by nobody else: `cp -p`, `touch -d` or an unpacked archive cannot hide a change from
it. A coarse clock could, where a file is written twice in one tick: files that changed within the last minute are not
remembered. Windows has no such time, so there every file is hashed at each start.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from segtrain.core.case import Case, ScanSource
from segtrain.core.files import disk_errors, scan_errors, shortened
from segtrain.data.dicom.headers import list_series
from segtrain.data.read import files_of
from segtrain.data.structure_folder import structure_files

SETTLED_SECONDS = 60.0
"""Without a change, before a state is trusted: more than a tick of any file system, and than server clocks differ."""
HAS_CHANGE_TIME = os.name != "nt"
HASH = re.compile(r"[0-9a-f]{64}")


def source_hash(case: Case) -> str:
    """sha256 over the bytes of all files that a case is read from, and which series they are.

    Raises UnreadableScan.
    """
    digest = hashlib.sha256()
    for source in _sources_of(case):
        digest.update(source.series_uid.encode())
        structures = {} if source.series_uid else structure_files(source.path)
        digest.update("\n".join(structures).encode(errors="surrogateescape"))  # names are labels
        for file in _files_of(source, structures.values()):
            with scan_errors(file), file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


class SourceMemory:
    """Hashes of cases that were read before, each in a small file of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, case: Case) -> str | None:
        """The `source_hash`, without reading any content; None where it is not known. Raises UnreadableScan."""
        if not HAS_CHANGE_TIME:
            return None
        try:
            found = self._place(case, state_of(case)).read_text(encoding="ascii")
        except (OSError, ValueError):
            return None
        return found if HASH.fullmatch(found) else None  # a write that was cut short is no hash

    def learn(self, case: Case) -> str:
        """The `source_hash`, which is remembered where that is safe. Raises UnreadableScan, ResourceError."""
        known = self.recall(case)
        if known is not None:
            return known
        before, now = state_of(case), time.time()
        found = source_hash(case)
        settled = now - newest_change(case) > SETTLED_SECONDS
        if HAS_CHANGE_TIME and settled and state_of(case) == before:
            place = self._place(case, before)
            with disk_errors(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(found, encoding="ascii")
        return found

    def _place(self, case: Case, state: str) -> Path:
        return self._folder / f"{shortened(case.id)}-{state[:32]}.txt"


def state_of(case: Case) -> str:
    """A hash of what the file system says about the files of a case; no content is read. Raises UnreadableScan."""
    digest = hashlib.sha256()
    for source in _sources_of(case):
        digest.update(f"{source.series_uid}\n".encode())
        for file, known in _states(source):
            numbers = (known.st_size, known.st_ino, known.st_mtime_ns, known.st_ctime_ns)
            digest.update(f"{file}\n{numbers}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def newest_change(case: Case) -> float:
    """When the last of the files of a case was written or changed, in seconds since the epoch."""
    times = (max(known.st_mtime, known.st_ctime) for source in _sources_of(case) for _, known in _states(source))
    return max(times, default=0.0)


def size_bytes(case: Case) -> int:
    """What a case takes on the disk. Raises UnreadableScan."""
    return sum(known.st_size for source in _sources_of(case) for _, known in _states(source))


def _sources_of(case: Case) -> list[ScanSource]:
    return [*case.images, *([case.label] if case.label else [])]


def _files_of(source: ScanSource, structures: Collection[Path]) -> list[Path]:
    """The file and what belongs to it, or the slices of the series meant, wherever below the folder they lie.

    Of a folder with a file a structure, these files.
    """
    if not source.path.is_dir():
        return list(files_of(source.path))
    if structures:
        return [part for file in structures for part in files_of(file)]
    meant = (s for s in list_series(source.path) if source.series_uid in ("", s.uid))
    return sorted(file for series in meant for file in series.files)


def _states(source: ScanSource) -> list[tuple[Path, os.stat_result]]:
    """The file, or all files below the folder: which of them are slices of the series, only their headers say."""
    if source.path.is_dir():
        files: Iterable[Path] = sorted(
            Path(folder, name) for folder, _, names in os.walk(source.path) for name in names
        )
    else:
        with scan_errors(source.path):
            files = files_of(source.path)
    found = []
    for file in files:
        with scan_errors(file):
            found.append((file, file.stat()))
    return found
