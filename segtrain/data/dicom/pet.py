"""PET values -> SUV by body weight (g/ml), by the rule of the Quantitative Imaging Biomarkers Alliance.

QIBA, vendor-neutral pseudo-code (qibawiki.rsna.org, "Standardized Uptake Value (SUV)"): Bq/ml times the weight in g,
over the dose in Bq as it is when the scan begins. Where an element is missing nothing is guessed: scans of other units
in one data set would differ by a factor of thousands, and nobody would see it.

Times are read, and leave this module as a factor only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom

from segtrain.core.errors import Problem, UnreadableScan, raise_all
from segtrain.core.words import count
from segtrain.data.dicom.headers import dicom_errors
from segtrain.data.dicom.records import SliceHeader

NEEDED = (
    *("Units", "CorrectedImage", "DecayCorrection", "PatientWeight"),
    *("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime"),
)
ALIKE = ("Units", "SUVType", "CorrectedImage", "DecayCorrection", "PatientWeight", "SeriesDate", "SeriesTime")
"""What must be the same in all slices, beside the dose."""
NEEDED_OF_DOSE = ("RadionuclideTotalDose", "RadionuclideHalfLife")
START_TIMES = ("RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime")
PHILIPS_BQML_FACTOR = (0x7053, 0x1009)
PHILIPS_SUV_FACTOR = (0x7053, 0x1000)
GE_SCAN_START = (0x0009, 0x100D)
HINT = "export the series again with these elements, or save it as SUV in NIfTI"
SMALLEST_DOSE_BQ = 1e6
"""Doses are given in hundreds of MBq; a smaller number is one of MBq in the element for Bq."""


@dataclass(frozen=True)
class Suv:
    """What the values of a series are multiplied by, and how to say so."""

    factor: float
    note: str


def suv_of(slices: Sequence[SliceHeader]) -> Suv:
    """The factor for all slices of a PET. Raises UnreadableScan with every element that is missing, or not one for all.

    The slices were acquired one after the other, bed by bed: the scan began with the first of them by time.
    """
    files: dict[Path, Any] = {}
    for path in dict.fromkeys(header.path for header in slices):
        with dicom_errors(path):
            files[path] = pydicom.dcmread(path, stop_before_pixels=True)
    path, first = next(iter(files.items()))
    with dicom_errors(path):
        _require_one(files)
        return _suv(path, first, list(files.values()))


def _require_one(files: Mapping[Path, Any]) -> None:
    """UnreadableScan where the slices do not agree in what makes one factor of them; names those that most do not."""
    told = {path: _told(data) for path, data in files.items()}
    problems = []
    for name in next(iter(told.values())):
        usual, times = Counter(of_slice[name] for of_slice in told.values()).most_common(1)[0]
        odd = [path for path, of_slice in told.items() if of_slice[name] != usual]
        if odd:
            why = f"its slices differ in {name}: {count(len(odd), 'slice')}, as {odd[0].name}, from {times} others"
            problems.append(Problem("the SUV of a PET cannot be known", str(odd[0]), why, HINT))
    raise_all(UnreadableScan, problems)


def _without(name: str, files: Sequence[Any]) -> list[Any]:
    return [of_slice for of_slice in files if of_slice.get(name) in (None, "")]


def _in_some(without: Sequence[Any], files: Sequence[Any]) -> str:
    """Which slices lack something that others have."""
    return f" in {Path(without[0].filename).name}" if 0 < len(without) < len(files) else ""


def _told(data: Any) -> dict[str, str]:
    """What all slices must agree in, by name."""
    dose = (data.get("RadiopharmaceuticalInformationSequence") or [{}])[0]
    told = {name: str(data.get(name)) for name in ALIKE}
    told |= {name: str(dose.get(name)) for name in (*NEEDED_OF_DOSE, *START_TIMES)}
    private = {"(7053,1000)": PHILIPS_SUV_FACTOR, "(7053,1009)": PHILIPS_BQML_FACTOR}
    return told | {name: str(_private(data, tag)) for name, tag in private.items()}


def _suv(path: Path, data: Any, files: Sequence[Any]) -> Suv:
    """The factor by what the first slice says, with the times of all."""
    units = str(data.get("Units", "") or "")
    if units == "GML" and str(data.get("SUVType", "BW") or "BW") == "BW":
        return Suv(1.0, "PET: values are SUV by body weight, as stored (GML)")
    philips = _private(data, PHILIPS_SUV_FACTOR)
    if units == "CNTS" and philips:
        return Suv(philips, "PET: counts times the factor of Philips are SUV by body weight")
    if units not in ("BQML", "CNTS", ""):
        why = f"Units is {units}, SUVType {data.get('SUVType', 'not there')}; BQML and GML (BW) are known"
        raise UnreadableScan(Problem("the values of a PET cannot be known", str(path), why, HINT))
    _require(path, data, files)
    to_bqml = (_private(data, PHILIPS_BQML_FACTOR) or 0.0) if units == "CNTS" else 1.0
    if not to_bqml:
        why = "Units is CNTS, and neither (7053,1000) nor (7053,1009) says what a count is"
        raise UnreadableScan(Problem("the values of a PET cannot be known", str(path), why, HINT))
    dose = data.RadiopharmaceuticalInformationSequence[0]
    left = float(dose.RadionuclideTotalDose)
    if str(data.DecayCorrection) == "START":
        left *= 2.0 ** (-_elapsed(path, files, dose).total_seconds() / float(dose.RadionuclideHalfLife))
    return Suv(to_bqml * float(data.PatientWeight) * 1000 / left, "PET: values are SUV by body weight (QIBA's rule)")


def _require(path: Path, data: Any, files: Sequence[Any]) -> None:
    """UnreadableScan with everything that is missing or not as it must be."""
    dose = (data.get("RadiopharmaceuticalInformationSequence") or [{}])[0]
    wanted = [name for name in NEEDED if _without(name, files)]
    wanted += [name for name in NEEDED_OF_DOSE if not dose.get(name)]
    if not any(dose.get(name) for name in START_TIMES):
        wanted.append(" or ".join(START_TIMES))
    faults = [f"no {name}{_in_some(_without(name, files), files)}" for name in wanted]
    corrected = [str(word) for word in _words(data.get("CorrectedImage"))]
    faults += [f"CorrectedImage without {word}" for word in ("ATTN", "DECY") if corrected and word not in corrected]
    if data.get("DecayCorrection") not in (None, "", "START", "ADMIN"):
        faults.append(f"DecayCorrection is {data.DecayCorrection}")
    if "PatientWeight" not in wanted and not float(data.PatientWeight) > 0:
        faults.append("PatientWeight is not positive")
    if dose.get("RadionuclideTotalDose") and float(dose.RadionuclideTotalDose) < SMALLEST_DOSE_BQ:
        faults.append("RadionuclideTotalDose is not in Bq")
    if faults:
        raise UnreadableScan(Problem("the SUV of a PET cannot be known", str(path), "; ".join(faults), HINT))


def _elapsed(path: Path, files: Sequence[Any], dose: Any) -> timedelta:
    """From the injection to the time to which decay was corrected: the begin of the scan."""
    data = files[0]
    series = _moment(data.SeriesDate, data.SeriesTime)
    first = min(_moment(of_slice.AcquisitionDate, of_slice.AcquisitionTime) for of_slice in files)
    scan, ge_start = series, data.get(GE_SCAN_START)
    if series > first:  # a series that was made later: its time is not that of the scan
        if ge_start is None:
            why = "SeriesTime is later than AcquisitionTime, so that the begin of the scan is not known"
            raise UnreadableScan(Problem("the SUV of a PET cannot be known", str(path), why, HINT))
        scan = _moment("", str(ge_start.value))
    if dose.get("RadiopharmaceuticalStartDateTime"):
        start = _moment("", str(dose.RadiopharmaceuticalStartDateTime))
    else:
        start = _moment(scan.strftime("%Y%m%d"), dose.RadiopharmaceuticalStartTime)
        start -= timedelta(days=1 if start > scan else 0)  # injected before midnight
    if start > scan:
        raise UnreadableScan(Problem("a PET was injected after its scan", str(path), "its times disagree", HINT))
    return scan - start


def _moment(date: Any, time: Any) -> datetime:
    """DICOM's YYYYMMDD and HHMMSS.FFFFFF; a zone is left out, since both ends of a difference have it."""
    text = f"{date}{time}".partition("+")[0].partition("-")[0]
    whole, _, fraction = text.partition(".")
    return datetime.strptime(whole.ljust(14, "0")[:14], "%Y%m%d%H%M%S") + timedelta(seconds=float(f"0.{fraction or 0}"))


def _private(data: Any, tag: tuple[int, int]) -> float | None:
    found = data.get(tag)
    return float(found.value) if found is not None and found.value else None


def _words(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value or [])
