"""Names of files: which kind they are, and what is left of them as the name of a case."""

from __future__ import annotations

import pytest

from segtrain.data.files.formats import SUFFIXES, format_of, header_of_pair, scan_name, suffix_of


@pytest.mark.parametrize(
    ("name", "kind", "case"),
    [
        ("a.nii.gz", "nifti", "a"),
        ("A.NII", "nifti", "A"),
        ("a.b.hdr", "nifti", "a.b"),
        ("a.MHA", "mha", "a"),
        ("a.mhd", "mha", "a"),
        ("a.seg.nrrd", "nrrd", "a"),
        ("a.seg.b.nrrd", "nrrd", "a.seg.b"),
        ("a.nhdr", "nrrd", "a"),
        ("a.tiff", "picture", "a"),
        ("a.JPG", "picture", "a"),
        ("a.dcm", "dicom", "a"),
        ("a.raw", None, "a.raw"),
        ("a.img", None, "a.img"),
        (".nii", None, ".nii"),
        ("dataset.json", None, "dataset.json"),
    ],
)
def test_a_file_is_known_by_its_suffix(tmp_path, name, kind, case):
    path = tmp_path / name
    path.touch()
    assert (format_of(path), scan_name(path)) == (kind, case)


def test_a_folder_is_no_file_whatever_it_is_called(tmp_path):
    (tmp_path / "a.nii").mkdir()
    assert (format_of(tmp_path / "a.nii"), scan_name(tmp_path / "a.nii")) == (None, "a.nii")


def test_a_longer_suffix_comes_before_the_one_that_it_ends_in(tmp_path):
    for suffix in SUFFIXES:
        assert suffix_of(tmp_path / f"x{suffix}") == suffix


def test_the_voxels_of_a_pair_have_a_header(tmp_path):
    assert header_of_pair(tmp_path / "a.IMG.gz") == tmp_path / "a.hdr.gz"
    assert header_of_pair(tmp_path / "a.hdr") is None
