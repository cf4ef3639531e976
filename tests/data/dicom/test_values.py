"""A slice that alone lacks what the others have is named, and never read with a default."""

from __future__ import annotations

import pydicom
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.scan import read_dicom
from tests.data.dicom_phantoms import pixels_of, write_series, write_slice
from tests.data.enhanced_phantoms import write_enhanced
from tests.faults.table import fault


def refusal(place):
    with pytest.raises(UnreadableScan) as error:
        read_dicom(place)
    return str(error.value)


@pytest.mark.parametrize("name", ["RescaleIntercept", "RescaleSlope", "PixelRepresentation", "BitsStored"])
@pytest.mark.parametrize("how", ["absent", "empty"])
@fault("F9", "one slice without its RescaleIntercept, slope, sign or bits", then="refused, the file")
def test_a_slice_that_alone_lacks_what_its_values_mean_is_named(tmp_path, name, how):
    path = write_series(tmp_path, RescaleIntercept=-1024)[2]
    data = pydicom.dcmread(path)
    if how == "absent":
        delattr(data, name)
    else:
        data[name].value = None
    data.save_as(path)
    message = refusal(tmp_path)
    assert f"1 slice of 4 without {name}" in message
    assert path.name in message


def test_a_frame_that_alone_has_no_intercept_is_named(tmp_path):
    path = write_enhanced(tmp_path / "a.dcm")
    data = pydicom.dcmread(path)
    del data.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence[0].RescaleIntercept
    data.save_as(path)
    assert "a.dcm, frame 2" in refusal(path)


def test_all_faults_of_all_slices_are_told_at_once(tmp_path):
    paths = write_series(tmp_path)
    for path, name in zip(paths, ("RescaleIntercept", "BitsStored"), strict=False):
        data = pydicom.dcmread(path)
        delattr(data, name)
        data.save_as(path)
    message = refusal(tmp_path)
    assert "without RescaleIntercept" in message
    assert "without BitsStored" in message


def test_a_series_of_which_no_slice_is_rescaled_is_as_stored(tmp_path):
    write_series(tmp_path, RescaleSlope=None, RescaleIntercept=None)
    assert read_dicom(tmp_path).array.max() == pixels_of(3).max()


def test_slices_in_two_units_are_refused(tmp_path):
    for n, unit in enumerate(["HU", "HU", "US"]):
        write_slice(tmp_path / f"{n}.dcm", pixels_of(n), "1.2.9", (0, 0, 2.5 * n), RescaleType=unit)
    assert "RescaleType is HU, US" in refusal(tmp_path)
    write_slice(tmp_path / "2.dcm", pixels_of(2), "1.2.9", (0, 0, 5), RescaleType=None)
    assert read_dicom(tmp_path).array.shape[-1] == 3


@pytest.mark.parametrize("other", ["MR", None])
def test_slices_of_two_modalities_are_refused(tmp_path, other):
    for n in range(3):
        write_slice(tmp_path / f"{n}.dcm", pixels_of(n), "1.2.9", (0, 0, 2.5 * n), Modality="PT" if n else other)
    assert f"Modality is {', '.join(sorted((other or 'none', 'PT')))}" in refusal(tmp_path)


def test_values_that_no_reader_follows_are_refused(tmp_path):
    write_series(tmp_path, RescaleSlope=0)
    assert "RescaleSlope is 0" in refusal(tmp_path)
