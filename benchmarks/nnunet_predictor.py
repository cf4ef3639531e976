"""nnU-Net's own predictor on files, for a comparison of pace. Needs nnunetv2 and what it needs."""

import contextlib
import io
import shutil
import warnings
from pathlib import Path

from benchmarks.nnunet_trainer import NnunetPace


class NnunetPredictor:
    """nnU-Net's predictor with the network, plan and data set of a trainer; overlap a half, no mirroring."""

    def __init__(self, pace: NnunetPace, cases: list[Path], folder: Path) -> None:
        import torch
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        self.out = folder / "out"
        self.inputs = [[str(_linked(case, folder / "in"))] for case in cases]
        trainer = pace.trainer
        trainer.set_deep_supervision_enabled(False)
        self.predictor = nnUNetPredictor(
            tile_step_size=0.5, use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False
        )
        self.predictor.manual_initialization(
            trainer.network,
            trainer.plans_manager,
            trainer.configuration_manager,
            [trainer.network.state_dict()],
            trainer.dataset_json,
            type(trainer).__name__,
            None,
        )

    def in_processes(self) -> None:
        """As its command does: one process prepares, one exports."""
        with _quietly():
            self.predictor.predict_from_files(
                self.inputs, self._fresh(), num_processes_preprocessing=1, num_processes_segmentation_export=1
            )

    def in_one_process(self) -> None:
        """One case after the other, without the cost of starting processes."""
        with _quietly():
            self.predictor.predict_from_files_sequential(self.inputs, self._fresh())

    def _fresh(self) -> list[str]:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        return [str(self.out / Path(path).name.removesuffix("_0000.nii.gz")) for (path,) in self.inputs]


def _linked(case: Path, to: Path) -> Path:
    to.mkdir(parents=True, exist_ok=True)
    target = to / f"{case.name.removesuffix('.nii.gz')}_0000.nii.gz"
    target.symlink_to(case)
    return target


@contextlib.contextmanager
def _quietly():  # type: ignore[no-untyped-def]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
