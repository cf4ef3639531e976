"""F14: no name of a dataset.json leads out of the data set."""

import sys

import pytest
import SimpleITK as sitk  # noqa: N813

from segtrain.core.case import ScanSource
from segtrain.core.errors import DataError
from segtrain.data.inside import is_below, path_below
from segtrain.data.read import read_volume
from tests.faults.table import fault

LEADING_OUT = [
    *("../x.nii.gz", "imagesTr/../../x", "..", "/etc/passwd", "//host/share/x", "C:/x", "C:x", "c:\\x", "\\x"),
    *("imagesTr\\x.nii.gz", "", "  ", "a\0b", "a\nb"),
]


@pytest.mark.parametrize("name", LEADING_OUT)
@fault("F14", "`..`, drives, absolute names", then="refused by their text alone")
def test_names_that_may_lead_out_are_refused_by_their_text_alone(tmp_path, name):
    problems = []
    assert path_below(tmp_path, name, "dataset.json", problems) is None
    assert "may lead out" in problems[0].what
    assert problems[0].where == "dataset.json"


def test_names_below_the_root_are_taken_whether_or_not_they_are_there(tmp_path):
    problems = []
    for name in ("./imagesTr/a.nii.gz", "imagesTr/a b.nii.gz", "a..b.nii.gz"):
        assert path_below(tmp_path, name, "dataset.json", problems) == tmp_path / name
    assert problems == []


def test_links_are_followed_and_must_stay_inside(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "in").write_text("x")
    (root / "good").symlink_to(root / "in")
    (root / "bad").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    problems = []
    assert path_below(root, "good", "j", problems)
    assert path_below(root, "bad", "j", problems) is None
    assert path_below(root, "folder/secret", "j", problems) is None
    assert not is_below(root, root / "folder", problems)
    assert [p.what for p in problems] == ["a link leads out of the data set"] * 3


def test_a_root_that_is_itself_a_link_is_its_target(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    problems = []
    assert path_below(tmp_path / "link", "a", "j", problems)
    assert problems == []


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="from 3.13 on such a link has a place, and holds nothing")
def test_a_link_to_itself_cannot_be_followed(tmp_path):
    (tmp_path / "a").symlink_to("a")
    problems = []
    assert path_below(tmp_path, "a", "dataset.json", problems) is None
    assert path_below(tmp_path / "a", "b", "dataset.json", problems) is None
    assert [p.what for p in problems] == ["a name of the data set cannot be followed"] * 2


@pytest.mark.parametrize("kind", ["mhd", "nhdr"])
@fault("F14", "the file with the voxels is a link that leads to itself", then="refused, the header and the name")
def test_voxels_behind_a_link_to_itself_are_a_data_error(tmp_path, kind):
    header = tmp_path / f"scan.{kind}"
    sitk.WriteImage(sitk.Image(3, 3, 3, sitk.sitkUInt8), str(header))
    (voxels,) = (path for path in tmp_path.iterdir() if path != header)
    voxels.unlink()
    voxels.symlink_to(voxels.name)
    with pytest.raises(DataError) as error:
        read_volume([ScanSource(header)])
    assert str(header) in str(error.value)
    assert voxels.name in str(error.value)
