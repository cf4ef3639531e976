from PIL import Image

from segtrain.core.case import ScanSource
from segtrain.data import structure_folder
from segtrain.data.faults import Faults
from segtrain.data.layouts.listing import holds_scan_files, list_masks, list_scans, scan_name
from tests import phantoms
from tests.data.dicom_phantoms import write_series
from tests.data.enhanced_phantoms import write_enhanced
from tests.data.folders import write_scan, write_structures
from tests.data.rtstruct_phantoms import write_rtstruct


def listed(folder):
    faults = Faults()
    return list_scans(folder, faults), [line for p in faults.problems for line in p.lines()]


def test_names_lose_their_suffix_and_keep_their_dots(tmp_path):
    assert scan_name(tmp_path / "a.b.nii.gz") == "a.b"
    assert scan_name(tmp_path / "A.NII") == "A"
    (tmp_path / "c.nii").mkdir()
    assert scan_name(tmp_path / "c.nii") == "c.nii"


def test_hidden_and_other_files_are_passed_over(tmp_path):
    write_scan(tmp_path / "a.nii.gz")
    for name in ("._a.nii.gz", ".DS_Store", "README.md", "dataset.json"):
        (tmp_path / name).write_text("x")
    found, problems = listed(tmp_path)
    assert list(found) == ["a"]
    assert problems == []


def test_files_that_look_like_scans_of_another_kind_are_not_passed_over(tmp_path):
    write_scan(tmp_path / "a.nii.gz")
    for name in ("b.mgz", "c.npy", "d.bmp", "e.tar.gz"):
        (tmp_path / name).write_text("x")
    assert sum("no reader" in line for line in listed(tmp_path)[1]) == 4


def test_every_kind_of_file_is_a_scan_under_its_name(tmp_path):
    names = ("a.nii", "b.nii.gz", "c.mha", "d.mhd", "e.nrrd", "f.seg.nrrd", "g.nhdr", "h.hdr")
    for name in (*names, "d.raw", "g.raw.gz", "h.img"):
        (tmp_path / name).write_text("x")
    found, problems = listed(tmp_path)
    assert {name: scan.source.path.name for name, scan in found.items()} == {name[0]: name for name in names}
    assert problems == []


def test_pictures_are_scans_where_nothing_else_is(tmp_path):
    for name in ("a.png", "b.tif", "c.JPG"):
        (tmp_path / name).write_text("x")
    assert list(listed(tmp_path)[0]) == ["a", "b", "c"]
    write_scan(tmp_path / "d.nii.gz")
    assert list(listed(tmp_path)[0]) == ["d"]


def test_a_scan_and_a_mask_of_one_name_are_told(tmp_path):
    for name in ("a.nrrd", "a.seg.nrrd"):
        (tmp_path / name).write_text("x")
    assert "a is there twice" in listed(tmp_path)[1][0]


def test_voxels_without_their_header_are_told(tmp_path):
    (tmp_path / "a.img.gz").write_text("x")
    assert listed(tmp_path)[1][:3] == [
        "the header of a pair is missing",
        f"  where: {tmp_path / 'a.img.gz'}",
        "  why: a.hdr.gz is not there",
    ]


def test_files_of_dicom_that_stand_alone_are_a_scan_or_a_mask_each(tmp_path):
    write_rtstruct(tmp_path / "masks" / "P1.dcm", {"organ": []})
    write_rtstruct(tmp_path / "masks" / "P2" / "anything", {"organ": []})
    found, problems = listed(tmp_path / "masks")
    assert {name: scan.source.path.name for name, scan in found.items()} == {"P1": "P1.dcm", "P2": "anything"}
    for case in ("P1", "P2"):
        write_enhanced(tmp_path / "scans" / f"{case}.dcm", SeriesInstanceUID=f"1.2.{case[1]}")
    found, more = listed(tmp_path / "scans")
    assert list(found) == ["P1", "P2"]
    assert found["P1"].source.series_uid == "1.2.1"
    assert (problems, more) == ([], [])


def test_a_damaged_file_of_dicom_costs_no_other_case(tmp_path):
    for case in range(4):
        write_enhanced(tmp_path / f"P{case}.dcm", SeriesInstanceUID=f"1.2.{case}")
    whole = (tmp_path / "P2.dcm").read_bytes()
    (tmp_path / "P2.dcm").write_bytes(whole[:-60])
    for names in (["P0", "P1", "P3"], ["P0", "P1", "P3", "Q"]):
        faults = Faults()
        assert sorted(list_scans(tmp_path, faults)) == names
        assert [(case, problem.what) for case, problem in faults] == [("P2", "a DICOM file is truncated")]
        write_scan(tmp_path / "Q.nii.gz")


def test_a_damaged_slice_is_told_of_its_series(tmp_path):
    write_series(tmp_path)
    broken = min(tmp_path.iterdir())
    broken.write_bytes(broken.read_bytes()[:-20])
    found, problems = listed(tmp_path)
    assert (found, problems[0]) == (None, "a DICOM file is truncated")


def test_slices_beside_other_scans_are_told(tmp_path):
    write_series(tmp_path)
    write_scan(tmp_path / "a.nii.gz")
    found, problems = listed(tmp_path)
    assert list(found) == ["a"]
    assert problems[0] == "slices of DICOM lie beside other scans"


def test_links_that_lead_to_nothing_are_told(tmp_path):
    write_scan(tmp_path / "a.nii.gz")
    for name in ("b.dcm", "c.nii.gz"):
        (tmp_path / name).symlink_to("nowhere")
    found, problems = listed(tmp_path)
    assert list(found) == ["a"]
    assert problems.count("a file is not there") == 2


def test_what_lies_in_the_root_of_a_tree_makes_it_no_folder_of_scans(tmp_path):
    write_series(tmp_path / "P1")
    Image.new("L", (4, 4)).save(tmp_path / "overview.png")
    assert not holds_scan_files(tmp_path)
    assert holds_scan_files(tmp_path / "P1")
    write_scan(tmp_path / "a.nii.gz")
    assert holds_scan_files(tmp_path)


def test_a_folder_of_two_masks_is_told(tmp_path):
    for name in ("a.dcm", "b.dcm"):
        write_rtstruct(tmp_path / "P1" / name, {"organ": []})
    assert "the folder of a case holds 2 masks" in listed(tmp_path)[1]


def test_a_folder_of_slices_is_one_scan_and_so_is_each_of_its_sub_folders(tmp_path):
    write_series(tmp_path / "x" / "P1", PatientID="1")
    write_series(tmp_path / "x" / "P2", PatientID="2")
    found, problems = listed(tmp_path / "x")
    assert list(found) == ["P1", "P2"]
    assert found["P1"].patient != found["P2"].patient
    assert problems == []
    assert list(listed(tmp_path / "x" / "P1")[0]) == ["P1"]


def test_sub_folders_without_or_with_several_series_are_told(tmp_path):
    write_series(tmp_path / "two" / "a")
    write_series(tmp_path / "two" / "b")
    write_scan(tmp_path / "none" / "a.nii.gz")
    _, problems = listed(tmp_path)
    assert any("2 series" in line for line in problems)
    assert any("but scans as files" in line for line in problems)


def test_nothing_there_is_told_in_its_own_way(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    assert "it is empty" in " ".join(listed(tmp_path / "empty")[1])
    assert "it has 1 file, and no scan among them" in " ".join(listed(tmp_path / "texts")[1])
    assert listed(tmp_path / "none") == (
        None,
        [
            "there is no such folder",
            f"  where: {tmp_path / 'none'}",
            "  fix: check the path; paths in a config are relative to the config",
        ],
    )
    assert "this is a file" in listed(tmp_path / "texts" / "a.txt")[1][0]


def test_the_real_folder_of_200_scans_is_listed():
    found, problems = listed(phantoms.real_data("hippocampus") / "images")
    assert len(found) == 200
    assert problems == []


def test_a_sub_folder_with_a_file_a_structure_is_a_mask_and_no_scan(tmp_path):
    write_structures(tmp_path / "P1", {"liver": [], "spleen": []})
    faults = Faults()
    assert [found.source.path for found in list_masks(tmp_path, faults).values()] == [tmp_path / "P1"]
    assert faults.problems == []
    assert "a sub-folder is no scan" in listed(tmp_path)[1][0]


def test_a_file_beside_a_series_of_dicom_makes_no_folder_of_structures(tmp_path):
    write_series(tmp_path / "P1" / "seg", uid="1.2.3")
    write_scan(tmp_path / "P1" / "converted.nii.gz")
    write_rtstruct(tmp_path / "P2" / "rt" / "drawn.dcm", {"organ": []})
    write_scan(tmp_path / "P2" / "converted.nii.gz")
    faults = Faults()
    found = list_masks(tmp_path, faults)
    assert found["P1"].source == ScanSource(tmp_path / "P1", "1.2.3")
    assert found["P2"].source == ScanSource(tmp_path / "P2" / "rt" / "drawn.dcm")
    assert faults.problems == []


def test_a_folder_of_structures_that_cannot_be_opened_is_a_fault_of_its_case(tmp_path, monkeypatch):
    write_structures(tmp_path / "P1", {"liver": []})
    write_structures(tmp_path / "P2", {"liver": []})
    (tmp_path / "P1" / "locked").touch()

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(structure_folder, "looks_like_dicom", closed)
    faults = Faults()
    assert list(list_masks(tmp_path, faults)) == ["P2"]
    assert [(case, problem.what) for case, problem in faults] == [("P1", "a scan cannot be read")]
