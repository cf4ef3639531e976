"""The codecs that readers need are tried with a file."""

import numpy as np
import pytest

from segtrain.data.files import codecs
from segtrain.data.files.codecs import codec_faults


def test_this_installation_reads_all_of_them():
    formats = ("NIfTI", "MetaImage", "PNG", "DICOM", "DICOM, JPEG lossless", "DICOM, JPEG 2000")
    assert codec_faults() == dict.fromkeys(formats, "")


def test_one_that_fails_says_why_and_the_others_are_tried(monkeypatch):
    def broken(*_):
        raise RuntimeError("unknown\ncompressor")

    monkeypatch.setattr(codecs, "_through_nifti", broken)
    found = codec_faults()
    assert found["NIfTI"] == "RuntimeError: unknown compressor"
    assert found["DICOM"] == ""


@pytest.mark.parametrize("change", [1, 255])
def test_values_that_changed_on_the_way_are_a_fault(monkeypatch, change):
    monkeypatch.setattr(codecs, "_through_nifti", lambda values, folder: values + np.int16(change))
    assert codec_faults()["NIfTI"] == "other values come back"
