"""Exported networks answer as the original, whatever the network and the number of patches."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from segtrain.core.errors import CheckFailed, ConfigError
from segtrain.models.registry import build_model
from segtrain.models.settings import ModelSettings
from segtrain.recipes import export_network
from segtrain.recipes.export_network import FILES, input_size, require_packages, write_network
from tests.plans import small_plan

NETWORKS = {
    "unet": {},
    "unet with residual units": {"block": "residual"},
    "residual_unet": {"name": "residual_unet", "preset": "S"},
}
ONNX = [("unet", 3), ("unet with residual units", 2), ("residual_unet", 3)]
"""An export takes five seconds: each network, and both numbers of axes."""
BOTH = [("onnx", *each) for each in ONNX] + [("torchscript", name, dims) for name in NETWORKS for dims in (2, 3)]


def network_of(name: str, dims: int):
    plan = small_plan(dims, channels=2, widths=(4, 8, 8))
    model = build_model(plan, ModelSettings(dims=dims, **NETWORKS[name]), outputs=3, seed=0).eval()
    for parameter in model.parameters():  # residual units begin as the identity, which hides much
        with torch.no_grad():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return model, plan


def answer_of(form, path, images):
    """By the libraries that a user has, and in another process of thought: nothing of segtrain."""
    if form == "onnx":
        import onnxruntime

        return onnxruntime.InferenceSession(path).run(None, {"image": images})[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path))(torch.from_numpy(images)).detach().numpy()


@pytest.mark.parametrize(("form", "name", "dims"), BOTH)
def test_a_file_answers_as_its_network_for_any_number_of_patches(tmp_path, form, name, dims, recwarn, capfd):
    model, plan = network_of(name, dims)
    path = tmp_path / FILES[form]
    agreement = write_network(path, model, plan, form)
    assert agreement.largest_difference <= agreement.allowed == 1e-3 * max(1, agreement.largest_logit)
    for count in (1, 3):
        images = np.random.default_rng(count).standard_normal((count, 2, *input_size(plan)), dtype=np.float32)
        with torch.inference_mode():
            wanted = model(torch.from_numpy(images))[0].numpy()
        np.testing.assert_allclose(answer_of(form, path, images), wanted, atol=1e-3)
    assert [path.name for path in tmp_path.iterdir()] == [FILES[form]]
    assert (len(recwarn), *capfd.readouterr()) == (0, "", "")


class Branching(nn.Module):
    """A network of one's own that looks at how many patches there are."""

    def forward(self, images):
        return (images if len(images) > 1 else -images,)


def test_a_network_that_was_traced_along_one_branch_is_found_out(tmp_path):
    """A trace follows the way of its example, and only warns; what it answers elsewhere shows on one patch."""
    with pytest.raises(CheckFailed, match="does not answer as the original") as error:
        write_network(tmp_path / "model.pt", Branching(), small_plan(), "torchscript")
    assert error.value.exit_code == 1


def test_a_network_that_torch_cannot_export_is_told_in_words(tmp_path):
    with pytest.raises(ConfigError, match="PyTorch cannot export this network as onnx"):
        write_network(tmp_path / "model.onnx", Branching(), small_plan(), "onnx")


def test_a_logit_that_is_no_number_is_no_agreement(tmp_path):
    class Broken(nn.Module):
        def forward(self, images):
            return (images * float("nan"),)

    with pytest.raises(CheckFailed):
        write_network(tmp_path / "model.pt", Broken(), small_plan(), "torchscript")


def test_missing_packages_are_named_with_their_extra(monkeypatch):
    monkeypatch.setattr(export_network, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"onnx, onnxscript, onnxruntime") as error:
        require_packages("onnx")
    assert error.value.problems[0].hint == "pip install 'segtrain[onnx]'"
    require_packages("torchscript")


def test_a_slice_has_two_axes():
    assert input_size(small_plan(3)) == [16, 12, 8]
    assert input_size(small_plan(2)) == [16, 12]
