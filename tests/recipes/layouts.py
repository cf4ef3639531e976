"""The same scans in every layout that `init` knows, as others lay them out: a function a layout."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
from PIL import Image
from pydicom import dcmread

from segtrain.core.volume import LabelMap, Volume
from segtrain.data.files.nifti import write_nifti, write_nifti_image
from tests import phantoms
from tests.data.data_sets import write_json
from tests.data.dicom_phantoms import write_on_grid
from tests.data.rtstruct_phantoms import outline, write_rtstruct

CASES = ("P0", "P1", "P2", "P3", "P4")
GRID = phantoms.grid((16, 14, 6), spacing_mm=(1.0, 1.0, 2.0))
LABELS = {"background": 0, "organ": 1}

Scans = Mapping[str, tuple[Volume, LabelMap]]
Layout = Callable[[Path, Scans], Path]


def scans() -> Scans:
    """Case -> scan and mask."""
    return {case: phantoms.scan(GRID, seed=seed) for seed, case in enumerate(CASES)}


def two_folders(root: Path, of: Scans) -> Path:
    """images/P0.nii.gz, masks/P0.nii.gz."""
    return _pairs(root, of, "images/{}.nii.gz", "masks/{}.nii.gz")


def one_folder(root: Path, of: Scans) -> Path:
    """P0.nii.gz, P0_seg.nii.gz."""
    return _pairs(root, of, "{}.nii.gz", "{}_seg.nii.gz")


def slicer(root: Path, of: Scans) -> Path:
    """P0.nrrd, P0.seg.nrrd."""
    root.mkdir(parents=True)
    for case, (image, mask) in of.items():
        for array, suffix in ((image.array[0], ".nrrd"), (mask.array, ".seg.nrrd")):
            sitk.WriteImage(sitk.GetImageFromArray(array.T), str(root / f"{case}{suffix}"))
    return root


def case_folders(root: Path, of: Scans) -> Path:
    """P0/T1.nii.gz, P0/mask.nii.gz."""
    return _pairs(root, of, "{}/T1.nii.gz", "{}/mask.nii.gz")


def brats(root: Path, of: Scans) -> Path:
    """As BraTS since 2023, with two time points of the first patient."""
    names = {case: f"BraTS-GLI-{max(n, 1):05}-{int(n == 1):03}" for n, case in enumerate(of)}
    for case, (image, mask) in of.items():
        name = names[case]
        for part in ("t1c", "t1n", "t2f", "t2w"):
            write_nifti_image(root / name / f"{name}-{part}.nii.gz", image)
        write_nifti(root / name / f"{name}-seg.nii.gz", mask)
    return root


def total_segmentator(root: Path, of: Scans) -> Path:
    """s0000/ct.nii.gz, s0000/segmentations/liver.nii.gz, and structures that overlap in one case."""
    for number, (image, mask) in enumerate(of.values()):
        case = root / f"s{number:04}"
        write_nifti_image(case / "ct.nii.gz", image)
        half = mask.array.copy()
        half[: GRID.shape[0] // 2] = 0
        rest = mask.array if number == 3 else mask.array - half
        for name, array in (("liver", half), ("spleen", rest), ("aorta", 0 * half)):
            write_nifti(case / "segmentations" / f"{name}.nii.gz", LabelMap(array, GRID))
    (root / "meta.csv").write_text("image_id;age\ns0000;61\n")
    return root


def nnunet(root: Path, of: Scans) -> Path:
    """imagesTr/P0_0000.nii.gz, labelsTr/P0.nii.gz, dataset.json."""
    _pairs(root, of, "imagesTr/{}_0000.nii.gz", "labelsTr/{}.nii.gz")
    about = {"channel_names": {"0": "MRI"}, "labels": LABELS, "numTraining": len(of), "file_ending": ".nii.gz"}
    write_json(root / "dataset.json", about)
    return root


def decathlon(root: Path, of: Scans) -> Path:
    """imagesTr/P0.nii.gz, labelsTr/P0.nii.gz, dataset.json with a list of them."""
    _pairs(root, of, "imagesTr/{}.nii.gz", "labelsTr/{}.nii.gz")
    pairs = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in of]
    labels = {str(label): name for name, label in LABELS.items()}
    about = {"modality": {"0": "MRI"}, "labels": labels, "numTraining": len(of), "training": pairs}
    write_json(root / "dataset.json", about)
    return root


def bids(root: Path, of: Scans) -> Path:
    """sub-P0/anat/sub-P0_T1w.nii.gz, derivatives/manual/sub-P0/anat/sub-P0_dseg.nii.gz."""
    return _pairs(root, of, "sub-{0}/anat/sub-{0}_T1w.nii.gz", "derivatives/manual/sub-{0}/anat/sub-{0}_dseg.nii.gz")


def table(root: Path, of: Scans) -> Path:
    """case,image,label."""
    return _table(root, of, ("case", "image", "label"))


def table_of_ones_own(root: Path, of: Scans) -> Path:
    """subject,scan,mask."""
    return _table(root, of, ("subject", "scan", "mask"))


def series_of_masks(root: Path, of: Scans) -> Path:
    """P0/T1 and P0/mask, folders of DICOM slices each."""
    for case, (image, mask) in of.items():
        for name, array in (("T1", _stored(image)), ("mask", mask.array)):
            _series(root / case / name, array, case)
    return root


def rtstructs(root: Path, of: Scans) -> Path:
    """P0/ct, P0/RS.1.2.3.40.dcm: another file name for each patient."""
    for number, (case, (image, _)) in enumerate(of.items()):
        _series(root / case / "ct", _stored(image), case)
        square = outline(GRID, [(1, 1), (8, 1), (8, 8), (1, 8)], 2)
        path = root / case / f"RS.1.2.3.4{number}.dcm"
        write_rtstruct(path, {"Liver": [square]}, PatientID=case, StructureSetLabel=f"plan {number}")
    return root


def pictures(root: Path, of: Scans) -> Path:
    """images/P0.png, masks/P0.png."""
    for case, (image, mask) in of.items():
        for folder, array in (("images", _stored(image)), ("masks", mask.array)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            large = np.kron(array[:, :, GRID.shape[2] // 2].T, np.ones((2, 2))).astype(np.uint8)
            Image.fromarray(large).save(root / folder / f"{case}.png")
    return root


ALL: tuple[Layout, ...] = (
    two_folders,
    one_folder,
    slicer,
    case_folders,
    brats,
    total_segmentator,
    nnunet,
    decathlon,
    bids,
    table,
    table_of_ones_own,
    series_of_masks,
    rtstructs,
    pictures,
)


def _pairs(root: Path, of: Scans, image_name: str, mask_name: str) -> Path:
    for case, (image, mask) in of.items():
        write_nifti_image(root / image_name.format(case), image)
        write_nifti(root / mask_name.format(case), mask)
    return root


def _table(root: Path, of: Scans, header: tuple[str, str, str]) -> Path:
    two_folders(root, of)
    path = root / "study.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = ((case, f"images/{case}.nii.gz", f"masks/{case}.nii.gz") for case in of)
        csv.writer(file).writerows([header, *rows])
    return path


def _stored(image: Volume) -> np.ndarray:
    """As bytes."""
    array = image.array[0]
    return np.round(200 * (array - array.min()) / np.ptp(array)).astype(np.uint8)


def _series(folder: Path, array: np.ndarray, patient: str) -> None:
    write_on_grid(folder, array, GRID)
    for path in folder.iterdir():
        data = dcmread(path)
        data.PatientID, data.SeriesDescription = patient, f"{folder.name} of {patient}"
        data.save_as(path)
