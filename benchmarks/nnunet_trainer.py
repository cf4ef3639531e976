"""nnU-Net's own trainer on a data set of two folders, for a comparison of pace. Needs nnunetv2 and what it needs."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

DATASET, NAME, CASES = 4, "Dataset004_Hippocampus", 40


class NnunetPace:
    """Steps of nnU-Net's trainer with its own loader and augmentation; the network, patch and batch are ours."""

    def __init__(self, scans: Path, folder: Path, widths: list[int], patch: list[int], batch: int) -> None:
        for key in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
            os.environ[key] = str(folder / key)
            (folder / key).mkdir(parents=True)
        write_raw(scans, folder / "nnUNet_raw" / NAME)
        import torch
        from nnunetv2.experiment_planning import plan_and_preprocess_api as api
        from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

        threads = torch.get_num_threads()
        api.extract_fingerprint_dataset(DATASET, num_processes=2, clean=True, verbose=False)
        api.plan_experiment_dataset(DATASET)
        prepared = folder / "nnUNet_preprocessed" / NAME
        plans_file = prepared / "nnUNetPlans.json"
        plans = json.loads(plans_file.read_text(encoding="utf-8"))
        narrow(plans["configurations"]["3d_fullres"], widths, patch, batch)
        plans_file.write_text(json.dumps(plans), encoding="utf-8")
        api.preprocess_dataset(DATASET, configurations=("3d_fullres",), num_processes=(2,))
        about = json.loads((folder / "nnUNet_raw" / NAME / "dataset.json").read_text(encoding="utf-8"))
        self.trainer = nnUNetTrainer(
            {**plans, "continue_training": False}, "3d_fullres", 0, about, device=torch.device("cpu")
        )
        self.trainer.initialize()
        self.trainer.network.train()
        torch.set_num_threads(threads)
        self.batches, self.validation = self.trainer.get_dataloaders()

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.trainer.train_step(next(self.batches))

    def close(self) -> None:
        for loader in (self.batches, self.validation):
            loader._finish()


def narrow(configuration: dict[str, Any], widths: list[int], patch: list[int], batch: int) -> None:
    """Our widths, patch and batch in a plan of nnU-Net; two convolutions a stage, as it has them."""
    stages = len(widths)
    network = configuration["architecture"]["arch_kwargs"]
    network |= {
        "n_stages": stages,
        "features_per_stage": widths,
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1], *[[2, 2, 2]] * (stages - 1)],
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
    }
    configuration |= {"patch_size": patch, "batch_size": batch}


def write_raw(scans: Path, out: Path) -> None:
    """Some of the cases of two folders as nnU-Net wants them."""
    for folder in ("imagesTr", "labelsTr"):
        (out / folder).mkdir(parents=True)
    files = sorted((scans / "images").glob("*.nii.gz"))[:CASES]
    for file in files:
        case = file.name.removesuffix(".nii.gz")
        shutil.copy(file, out / "imagesTr" / f"{case}_0000.nii.gz")
        shutil.copy(scans / "labels" / file.name, out / "labelsTr" / file.name)
    about = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "anterior": 1, "posterior": 2},
        "numTraining": len(files),
        "file_ending": ".nii.gz",
    }
    (out / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
