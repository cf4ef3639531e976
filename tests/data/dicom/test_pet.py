"""PET -> SUV: against factors worked out by hand, and every element that is missing by name."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.scan import read_dicom
from tests.data.dicom_phantoms import pixels_of, write_slice
from tests.faults.table import fault

HALF_LIFE_S = 6586.2
ELEMENTS = {
    "Modality": "PT",
    "Units": "BQML",
    "CorrectedImage": ["NORM", "DTIM", "ATTN", "SCAT", "DECY"],
    "DecayCorrection": "START",
    "PatientWeight": 70,
    "SeriesDate": "20240102",
    "SeriesTime": "120000",
    "AcquisitionDate": "20240102",
    "AcquisitionTime": "120000.50",
}
DOSE = {
    "RadionuclideTotalDose": 3.5e8,
    "RadionuclideHalfLife": HALF_LIFE_S,
    "RadiopharmaceuticalStartTime": "110000",
}


def pet(folder, dose=None, **elements):
    """Four slices, each with a slope of its own, as PET has."""
    item = Dataset()
    for name, value in {**DOSE, **(dose or {})}.items():
        if value is not None:
            setattr(item, name, value)
    more = {**ELEMENTS, **elements, "RadiopharmaceuticalInformationSequence": [item]}
    for n in range(4):
        write_slice(folder / f"{n}.dcm", pixels_of(n), "1.2.5", (0, 0, 2.5 * n), RescaleSlope=1 + n / 4, **more)
    return folder


def factor(folder) -> float:
    """What the values were multiplied by."""
    values = read_dicom(folder).array[0]
    bqml = np.stack([pixels_of(n).T * (1 + n / 4) for n in range(4)], axis=-1)
    shares = values[bqml > 0] / bqml[bqml > 0]
    assert np.ptp(shares) < 1e-6 * shares.mean()
    return float(shares.mean())


def decayed(seconds):
    return 70_000 / (3.5e8 * 0.5 ** (seconds / HALF_LIFE_S))


def test_an_hour_of_decay(tmp_path):
    assert factor(pet(tmp_path)) == pytest.approx(decayed(3600), rel=1e-5)
    assert read_dicom(tmp_path).notes == ("PET: values are SUV by body weight (QIBA's rule)",)


def test_midnight_between_injection_and_scan(tmp_path):
    times = {"SeriesTime": "003000", "AcquisitionTime": "003000"}
    folder = pet(tmp_path, {"RadiopharmaceuticalStartTime": "233000"}, **times)
    assert factor(folder) == pytest.approx(decayed(3600), rel=1e-5)


def test_a_whole_moment_goes_before_a_time_of_day(tmp_path):
    folder = pet(tmp_path, {"RadiopharmaceuticalStartDateTime": "20240102113000.000000+0100"})
    assert factor(folder) == pytest.approx(decayed(1800), rel=1e-5)


def test_decay_that_was_corrected_to_the_injection(tmp_path):
    assert factor(pet(tmp_path, DecayCorrection="ADMIN")) == pytest.approx(70_000 / 3.5e8, rel=1e-5)


def test_values_that_are_suv_already(tmp_path):
    assert factor(pet(tmp_path, Units="GML")) == 1
    with pytest.raises(UnreadableScan, match="SUVType BSA"):
        read_dicom(pet(tmp_path / "bsa", Units="GML", SUVType="BSA"))


@pytest.mark.parametrize(("element", "times"), [(0x1000, 0.25), (0x1009, 2 * 70_000 / 3.5e8)])
def test_counts_with_a_factor_of_philips(tmp_path, element, times):
    folder = pet(tmp_path, Units="CNTS", DecayCorrection="ADMIN")
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        data.add_new((0x7053, 0x0010), "LO", "Philips PET Private Group")
        data.add_new((0x7053, element), "DS", "0.25" if element == 0x1000 else "2")
        data.save_as(path)
    assert factor(folder) == pytest.approx(times, rel=1e-5)


def changed_in_one(folder, number, change):
    data = pydicom.dcmread(folder / f"{number}.dcm")
    change(data)
    data.save_as(folder / f"{number}.dcm")
    return folder


@pytest.mark.parametrize("number", [0, 3])
def test_the_scan_begins_with_its_first_acquisition_whatever_bed_that_is(tmp_path, number):
    """QIBA: SeriesTime is the begin of the scan only where no slice was acquired before it."""
    folder = pet(tmp_path, SeriesTime="115000", AcquisitionTime="120000")
    assert factor(folder) == pytest.approx(decayed(3000), rel=1e-5)
    changed_in_one(folder, number, lambda data: setattr(data, "AcquisitionTime", "114000"))
    with pytest.raises(UnreadableScan, match="SeriesTime is later"):
        read_dicom(folder)


@pytest.mark.parametrize("name", ["Units", "PatientWeight", "SeriesTime", "RadionuclideTotalDose", "AcquisitionTime"])
def test_slices_that_do_not_agree_make_no_suv(tmp_path, name):
    values = {"Units": "GML", "PatientWeight": 71, "SeriesTime": "115959", "RadionuclideTotalDose": 3.6e8}

    def change(data):
        of = data.RadiopharmaceuticalInformationSequence[0] if name in DOSE else data
        setattr(of, name, values.get(name))

    with pytest.raises(UnreadableScan, match=f"(differ in|no) {name}"):
        read_dicom(changed_in_one(pet(tmp_path), 2, change))


def test_a_series_that_was_made_later_has_the_begin_of_its_scan_from_ge(tmp_path):
    folder = pet(tmp_path, SeriesTime="180000")
    for path in folder.iterdir():
        data = pydicom.dcmread(path)
        data.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
        data.add_new((0x0009, 0x100D), "DT", "20240102120000.00")
        data.save_as(path)
    assert factor(folder) == pytest.approx(decayed(3600), rel=1e-5)


@pytest.mark.parametrize(
    ("elements", "dose", "word"),
    [
        ({"PatientWeight": None}, {}, "no PatientWeight"),
        ({"PatientWeight": 0}, {}, "PatientWeight is not positive"),
        ({"Units": None}, {}, "no Units"),
        ({"Units": "CNTS"}, {}, r"\(7053,1000\)"),
        ({"Units": "PROPCPS"}, {}, "Units is PROPCPS"),
        ({"DecayCorrection": None}, {}, "no DecayCorrection"),
        ({"DecayCorrection": "NONE"}, {}, "DecayCorrection is NONE"),
        ({"CorrectedImage": ["ATTN"]}, {}, "CorrectedImage without DECY"),
        ({"AcquisitionTime": None}, {}, "no AcquisitionTime"),
        ({"SeriesTime": "180000"}, {}, "SeriesTime is later"),
        ({}, {"RadionuclideTotalDose": None}, "no RadionuclideTotalDose"),
        ({}, {"RadionuclideTotalDose": 350}, "not in Bq"),
        ({}, {"RadionuclideHalfLife": None}, "no RadionuclideHalfLife"),
        ({}, {"RadiopharmaceuticalStartTime": None}, "no RadiopharmaceuticalStartDateTime or"),
        ({}, {"RadiopharmaceuticalStartDateTime": "20240103110000"}, "injected after its scan"),
    ],
)
@fault("F9", "PET without weight, dose or times", then="refused, the tag is named")
def test_what_is_missing_or_odd_is_named(tmp_path, elements, dose, word):
    with pytest.raises(UnreadableScan, match=word):
        read_dicom(pet(tmp_path, dose, **elements))


def test_all_that_is_missing_is_told_at_once(tmp_path):
    with pytest.raises(UnreadableScan, match="no PatientWeight; no RadionuclideHalfLife"):
        read_dicom(pet(tmp_path, {"RadionuclideHalfLife": None}, PatientWeight=None))


@fault("F33", "times and weight in PET headers", then="kept out of every message")
def test_times_and_weights_leave_in_no_message(tmp_path):
    with pytest.raises(UnreadableScan) as error:
        read_dicom(pet(tmp_path, SeriesTime="180000"))
    for canary in ("20240102", "180000", "Canary", "4711"):
        assert canary not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"), [("Units", None), ("AcquisitionTime", None), ("CorrectedImage", ["NORM"]), ("PatientWeight", 71)]
)
@fault("F9", "a PET of which one slice alone lacks an element, or says something else", then="refused, the slice")
def test_the_slice_that_differs_is_named(tmp_path, name, value):
    folder = changed_in_one(pet(tmp_path), 2, lambda data: setattr(data, name, value))
    with pytest.raises(UnreadableScan, match=r"2\.dcm") as error:
        read_dicom(folder)
    assert name in str(error.value)


def test_a_pet_whose_slices_do_not_say_their_slope_is_none(tmp_path):
    folder = pet(tmp_path)
    for number in range(4):
        changed_in_one(folder, number, lambda data: delattr(data, "RescaleSlope"))
    with pytest.raises(UnreadableScan, match="PET without RescaleSlope"):
        read_dicom(folder)
