"""Values of slices: by GDCM, by pydicom, and a codec that is missing has a name."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, HTJ2KLossless, JPEGExtended12Bit, RLELossless

from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.headers import read_file
from segtrain.data.dicom.pixels import PACKAGES, read_slices
from segtrain.data.dicom.scan import read_dicom
from tests import phantoms
from tests.data.dicom_phantoms import pixels_of, write_slice
from tests.data.enhanced_phantoms import write_enhanced
from tests.faults.table import fault


def retold(path, syntax):
    """The file, with another transfer syntax in its header and voxels that no codec takes."""
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.PixelData = pydicom.encaps.encapsulate([b"\0" * 64] * int(data.get("NumberOfFrames", 1)))
    data["PixelData"].is_undefined_length = True
    data.save_as(path)
    return path


def test_frames_are_sorted_by_their_place_and_scaled_by_their_own_slope(tmp_path):
    volume = read_dicom(write_enhanced(tmp_path / "a.dcm"))
    wanted = [pixels_of(1) * 2 - 5, pixels_of(2) * 0.5 - 5, pixels_of(0) - 5]
    np.testing.assert_allclose(volume.array[0], np.stack(wanted, axis=-1).transpose(1, 0, 2))
    assert volume.grid.spacing_mm == pytest.approx((0.7, 0.8, 2.5))
    np.testing.assert_allclose(volume.grid.affine[:3, 3], (10, 20, 0))
    assert read_dicom(tmp_path).grid.same_space(volume.grid)


def test_packed_frames_are_decoded(tmp_path):
    plain = read_dicom(write_enhanced(tmp_path / "a.dcm", slopes=(1, 1, 1)))
    data = pydicom.dcmread(tmp_path / "a.dcm")
    data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(tmp_path / "b.dcm")
    packed = read_dicom(tmp_path / "b.dcm")
    assert packed.array.dtype.kind == "i"
    np.testing.assert_array_equal(packed.array, plain.array)


@pytest.mark.parametrize("syntax", PACKAGES)
@fault("F9", "a codec that is missing", then="refused, with the package that brings it")
def test_a_codec_that_is_missing_is_named_with_what_brings_it(tmp_path, syntax):
    """Or else the file is damaged, which no codec tells from the outside."""
    path = retold(write_enhanced(tmp_path / "a.dcm"), syntax)
    with pytest.raises(UnreadableScan) as error:
        read_dicom(path)
    assert "a.dcm" in str(error.value)
    assert PACKAGES[syntax] in str(error.value) or "damaged" in str(error.value)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, JPEGExtended12Bit])
def test_a_slice_that_gdcm_cannot_decode_names_the_package(tmp_path, syntax):
    path = retold(write_slice(tmp_path / "a.dcm", pixels_of(0), "1.2", (0, 0, 0)), syntax)
    with pytest.raises(UnreadableScan, match=r"no codec here[\s\S]*pip install"):
        read_dicom(path)


@pytest.mark.parametrize("modality", ["CT", "DX"])
def test_only_radiographs_are_turned_round_and_either_is_said(tmp_path, modality):
    elements = {"PhotometricInterpretation": "MONOCHROME1", "PixelRepresentation": 0, "BitsStored": 12, "HighBit": 11}
    path = write_slice(tmp_path / "a.dcm", pixels_of(3), "1.2", (0, 0, 0), Modality=modality, **elements)
    volume = read_dicom(path)
    stored = pydicom.dcmread(path).pixel_array.astype(int)
    wanted = 4095 - stored if modality == "DX" else stored
    np.testing.assert_array_equal(volume.array[0, :, :, 0].T, wanted)
    assert ("inverted, so" if modality == "DX" else "not inverted") in " ".join(volume.notes)


@pytest.mark.parametrize("frames", [1, 2])
def test_floats_of_a_parametric_map_keep_their_fractions(tmp_path, frames):
    """Such maps have values as 0.0013 (ADC in mm2/s), of which whole numbers would leave nothing."""
    path = write_enhanced(tmp_path / "a.dcm", tuple(2.5 * n for n in range(frames)), (1,) * frames)
    data = pydicom.dcmread(path)
    values = np.linspace(0, 0.003, frames * data.Rows * data.Columns, dtype="<f4").reshape(frames, data.Rows, -1)
    for frame in data.PerFrameFunctionalGroupsSequence:
        del frame.PixelValueTransformationSequence
    del data.PixelData
    data.FloatPixelData, data.BitsAllocated = values.tobytes(), 32
    data.save_as(path)
    np.testing.assert_array_equal(read_dicom(path).array[0], values.T)


def test_whole_numbers_beyond_32_bits_do_not_turn_round(tmp_path):
    elements = {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31, "PixelRepresentation": 0}
    path = write_enhanced(tmp_path / "a.dcm", (0, 2.5, 5), (1, 1, 1), **elements)
    data = pydicom.dcmread(path)
    values = np.array([0, 3_999_999_999, 2**32 - 1] * 30, dtype="<u4").reshape(3, data.Rows, -1)
    data.PixelData = values.tobytes()
    data.save_as(path)
    found = read_dicom(path).array[0]
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, values.T.astype(np.int64) - 5)


def test_a_real_enhanced_file_is_its_slices():
    (folder,) = phantoms.real_data("awkward/dicom/dcmqi").rglob("23x38x3")
    enhanced, classic = read_dicom(folder / "multiframe"), read_dicom(folder / "image")
    assert enhanced.grid.same_space(classic.grid)
    np.testing.assert_array_equal(enhanced.array, classic.array)


def test_one_slice_is_read_by_gdcm_as_pydicom_reads_it(tmp_path):
    path = write_slice(tmp_path / "a.dcm", pixels_of(3), "1.2", (0, 0, 0), RescaleSlope=2, RescaleIntercept=-7)
    (values,) = read_slices(read_file(path))
    np.testing.assert_array_equal(values, pydicom.dcmread(path).pixel_array * 2 - 7)
