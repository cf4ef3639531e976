import numpy as np
import pytest

from segtrain.core.errors import UnreadableScan
from segtrain.data.dicom.scan import read_dicom
from tests.data.dicom_phantoms import pixels_of, write_series, write_slice
from tests.data.enhanced_phantoms import write_enhanced
from tests.faults.table import fault


def refusal(folder):
    with pytest.raises(UnreadableScan) as error:
        read_dicom(folder)
    with pytest.raises(UnreadableScan):
        read_dicom(folder)
    assert error.value.exit_code == 3
    return str(error.value)


@fault("F9", "one slice of a series missing", then="refused, the gap in mm")
def test_one_missing_slice_is_named_with_its_gap(tmp_path):
    write_series(tmp_path, (0, 2.5, 7.5, 10))
    message = refusal(tmp_path)
    assert "a slice is missing" in message
    assert "5 mm between" in message
    assert "2.5 mm is usual" in message


@fault("F9", "three slices missing", then="refused, their number")
def test_several_missing_slices_are_counted(tmp_path):
    write_series(tmp_path, (0, 2.5, 5, 12.5, 15, 20))
    assert "3 slices are missing" in refusal(tmp_path)


@fault("F9", "2.5 and 5 mm in one series", then="refused")
def test_two_spacings_are_uneven(tmp_path):
    write_series(tmp_path, (0, 2.5, 5, 7.5, 11, 14.5, 18))
    assert "unevenly" in refusal(tmp_path)


@fault("F9", "duplicate positions", then="refused")
def test_slices_at_one_position_are_told_from_gaps(tmp_path):
    write_series(tmp_path, (0, 2.5, 2.5, 5))
    message = refusal(tmp_path)
    assert "one position" in message
    assert "echoes" in message


@pytest.mark.parametrize("shift", [0.001, 0.02])
@fault("F9", "0.001 mm of jitter", then="read")
def test_jitter_within_one_percent_is_no_fault(tmp_path, shift):
    write_series(tmp_path, (0, 2.5 + shift, 5, 7.5 - shift, 10))
    assert read_dicom(tmp_path).grid.spacing_mm[2] == pytest.approx(2.5)


def test_jitter_beyond_it_is_one(tmp_path):
    write_series(tmp_path, (0, 2.5 + 0.06, 5, 7.5, 10))
    assert "unevenly" in refusal(tmp_path)


def test_thin_slices_may_be_rounded_to_two_decimals(tmp_path):
    write_series(tmp_path, [round(0.625 * n, 2) for n in range(9)])
    assert read_dicom(tmp_path).grid.spacing_mm[2] == pytest.approx(0.625)


def test_small_steps_do_not_add_up_over_many_slices(tmp_path):
    heights = [1.0034 * n for n in range(40)]
    write_series(tmp_path, heights)
    last = read_dicom(tmp_path).grid.positions_mm(np.array([[0.0, 0, 39]]))
    assert last[0, 2] == pytest.approx(heights[-1], abs=1e-5)


@pytest.mark.parametrize("degrees", [15, -15, 1])
@fault("F9", "a tilted gantry", then="refused, the angle")
def test_gantry_tilt_is_refused_with_its_angle(tmp_path, degrees):
    for n in range(4):
        position = (0, np.tan(np.radians(degrees)) * 2.5 * n, 2.5 * n)
        write_slice(tmp_path / f"{n}.dcm", pixels_of(n), "1.2.9", position)
    assert f"{abs(degrees):.1f} degrees" in refusal(tmp_path)


def test_one_slice_pushed_aside_is_named(tmp_path):
    for n in range(5):
        write_slice(tmp_path / f"{n}.dcm", pixels_of(n), "1.2.9", (3 if n == 4 else 0, 0, 2.5 * n))
    message = refusal(tmp_path)
    assert "shifted" in message
    assert "4.dcm" in message


def test_echoes_in_one_series_are_told_apart(tmp_path):
    for name, echo in (("a", 4.6), ("b", 9.2)):
        write_series(tmp_path / name, uid="1.2.9", EchoTime=echo, ImageType=["ORIGINAL", "PRIMARY"])
    message = refusal(tmp_path)
    assert "one position" in message
    assert "EchoTime is 4.6, 9.2" in message
    assert "ImageType" not in message


def test_time_points_in_an_enhanced_file_are_told_apart(tmp_path):
    frames = [{"FrameContentSequence": {"TemporalPositionIndex": n % 2 + 1}} for n in range(4)]
    write_enhanced(tmp_path / "a.dcm", (0, 0, 2.5, 2.5), (1, 1, 1, 1), frames)
    assert "TemporalPositionIndex is 1, 2" in refusal(tmp_path)


@fault("F9", "two slices", then="read, and said")
def test_a_series_of_few_slices_is_read_and_said(tmp_path):
    write_series(tmp_path, (0, 2.5))
    assert read_dicom(tmp_path).notes == ("the series has only 2 slices",)


@pytest.mark.parametrize(
    ("elements", "word"),
    [
        ({"RescaleSlope": 0}, "RescaleSlope"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BitsAllocated": 8, "BitsStored": 8}, "colour"),
    ],
)
def test_values_that_cannot_be_known_are_refused(tmp_path, elements, word):
    for n in range(3):
        write_slice(tmp_path / f"{n}.dcm", np.tile(pixels_of(n), (1, 3)), "1.2.9", (0, 0, n), **elements)
    assert word in refusal(tmp_path)


@fault("F9", "positions with one decimal, slices of 1.25 mm", then="read, and said how far off they are")
def test_positions_with_one_decimal_are_compared_with_the_even_line(tmp_path):
    """Each step is 1.2 or 1.3 mm; no slice lies farther from its place than rounding takes it."""
    write_series(tmp_path, [round(1.25 * n, 1) for n in range(13)])
    scan = read_dicom(tmp_path)
    assert scan.grid.spacing_mm[2] == pytest.approx(1.25)
    assert scan.notes == ("its slices lie up to 0.05 mm beside even steps of 1.25 mm (rounded positions?)",)


@pytest.mark.parametrize(
    "heights",
    [
        [1.2 * n for n in range(6)] + [6 + 1.3 * n for n in range(1, 6)],  # one decimal, and two distances
        [round(1.25 * n, 1) + 0.01 * (n == 3) for n in range(13)],  # not rounded to one decimal
        np.cumsum([0, *[2.5] * 40, *[2.52] * 40]),  # each step nearly the usual one, a slice 0.4 mm off in the middle
    ],
    ids=["two distances", "two decimals", "drift"],
)
def test_what_rounding_does_not_explain_is_uneven(tmp_path, heights):
    write_series(tmp_path, heights)
    assert "unevenly" in refusal(tmp_path)


def test_a_missing_slice_is_one_though_positions_have_one_decimal(tmp_path):
    write_series(tmp_path, [round(1.25 * n, 1) for n in range(13) if n != 5])
    assert "a slice is missing" in refusal(tmp_path)
