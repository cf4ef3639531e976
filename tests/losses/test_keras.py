"""Keras sees the values and gradients that the losses have for logits, whatever form it hands them in."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segtrain.core.errors import ConfigError
from segtrain.losses import build_loss, list_losses
from segtrain.losses.registry import supported_modes
from tests.losses.fixtures import gradient_of, random_sample

LOSSES = ["dice", "tversky", "focal", "dice_ce", "lovasz_softmax"]
every_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    """Keras on torch: it reads its backend once, when it is first imported, and writes a file in its home."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        module = importlib.import_module("keras")
        assert module.config.backend() == "torch", "something imported Keras before, with another backend"
        assert module.config.image_data_format() == "channels_last"
        yield module


@pytest.fixture
def keras_loss(keras):
    """The function, for float64: `dtype` is what Keras would cast predictions to."""
    from segtrain.losses.keras import keras_loss

    return lambda *names, **options: keras_loss(*names, **{"dtype": "float64", **options})


def probabilities(logits, mode="multiclass"):
    """(B, *S, C), as a Keras network ends."""
    return (logits.softmax(1) if mode == "multiclass" else logits.sigmoid()).movedim(1, -1)


def assert_same(theirs, name, mode="multiclass", form=lambda target: target, **options):
    """Value and gradient with respect to the logits are ours; `form` makes y_true of our target."""
    logits, target = random_sample(mode, space=(5, 6))
    ours = build_loss(name, mode, **options)

    def through_keras(x, y, _):
        return theirs(form(y), probabilities(x, mode))

    value = through_keras(logits, target, None)
    assert value.shape == ()
    assert value.item() == pytest.approx(ours(logits, target).item(), abs=1e-12)
    expected = gradient_of(ours, logits, target)
    assert expected.abs().max() > 1e-4
    assert torch.allclose(gradient_of(through_keras, logits, target), expected, rtol=1e-9, atol=1e-12)


class TestProbabilities:
    @every_loss
    def test_class_indices(self, name, keras_loss):
        assert_same(keras_loss(name), name)

    @every_loss
    def test_class_indices_with_an_axis_of_one(self, name, keras_loss):
        assert_same(keras_loss(name), name, form=lambda target: target.unsqueeze(-1).float())

    @every_loss
    def test_one_hot(self, name, keras_loss):
        assert_same(keras_loss(name), name, form=lambda target: F.one_hot(target, 3).float())

    @pytest.mark.parametrize("name", ["dice", "focal", "dice_ce", "lovasz_hinge"])
    @pytest.mark.parametrize("form", [torch.Tensor.float, torch.Tensor.int, torch.Tensor.bool])
    def test_one_sigmoid(self, name, form, keras_loss):
        assert_same(keras_loss(name), name, "binary", form=lambda target: form(target).movedim(1, -1))
        assert_same(keras_loss(name), name, "binary", form=lambda target: form(target[:, 0]))

    def test_independent_sigmoids_are_asked_for(self, keras_loss):
        assert_same(keras_loss("dice", "multilabel"), "dice", "multilabel", form=lambda target: target.movedim(1, -1))

    def test_a_loss_of_sigmoids_alone_takes_channels_for_them(self, keras_loss):
        assert_same(keras_loss("bce_dice"), "bce_dice", "multilabel", form=lambda target: target.movedim(1, -1).int())

    def test_options_reach_the_loss(self, keras_loss):
        options = {"fn_weight": 0.9, "include_background": True, "class_weights": (0.5, 1, 2)}
        assert_same(keras_loss("tversky", **options), "tversky", **options)

    @pytest.mark.parametrize("name", list_losses())
    def test_every_loss_agrees_or_refuses(self, name, keras_loss):
        for mode in supported_modes(name):
            logits, target = random_sample(mode, space=(8, 8))
            if name == "nacl":
                with pytest.raises(ConfigError, match=r"nacl measures the size of logits(.|\n)*from_logits=True"):
                    keras_loss(name, mode)
                continue
            truth = target if mode == "multiclass" else target.movedim(1, -1)
            value = keras_loss(name, mode)(truth, probabilities(logits, mode))
            assert value.item() == pytest.approx(build_loss(name, mode)(logits, target).item(), abs=1e-9)

    def test_a_part_that_needs_logits_is_refused_too(self, keras_loss):
        with pytest.raises(ConfigError, match="weighted_sum"):
            keras_loss("weighted_sum", of=[{"name": "nacl"}])

    @pytest.mark.parametrize(("name", "mode", "outputs"), [("dice_ce", "multiclass", 3), ("dice_ce", "binary", 1)])
    def test_certainty_is_finite(self, name, mode, outputs, keras_loss):
        p = torch.tensor([0.0, 1.0, 1e-38, 1 - 1e-7]).view(1, 2, 2, 1).repeat(1, 1, 1, outputs).requires_grad_()
        loss = keras_loss(name, dtype="float32")(torch.zeros(1, 2, 2), p)
        (gradient,) = torch.autograd.grad(loss, p)
        assert loss.isfinite()
        assert gradient.isfinite().all()

    def test_a_voxel_that_is_wrong_with_certainty_still_learns(self, keras_loss):
        logits = torch.tensor([-40.0, 0.0]).view(1, 2, 1, 1).repeat(1, 1, 2, 2).requires_grad_()
        loss = keras_loss("ce", dtype="float32")(torch.zeros(1, 2, 2), probabilities(logits))
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.item() == pytest.approx(40, rel=1e-6)
        assert gradient[0, 0].sum().item() == pytest.approx(-1, rel=1e-6)

    def test_logits_by_mistake_are_told(self, keras_loss):
        with pytest.raises(ValueError, match=r"-3 to 3.*from_logits=True"):
            keras_loss("dice")(torch.zeros(1, 2, 2), torch.tensor([-3.0, 3.0]).expand(1, 2, 2, 2))

    def test_no_number_passes(self, keras_loss):
        assert keras_loss("dice")(torch.zeros(1, 2, 2), torch.full((1, 2, 2, 2), torch.nan)).isnan()


class TestForms:
    @every_loss
    @pytest.mark.parametrize("one_hot", [False, True])
    def test_logits_and_channels_first(self, name, one_hot, keras_loss):
        logits, target = random_sample("multiclass")
        truth = F.one_hot(target, 3).movedim(-1, 1) if one_hot else target.unsqueeze(1)
        theirs = keras_loss(name, from_logits=True, data_format="channels_first")
        assert torch.equal(theirs(truth, logits), build_loss(name)(logits, target))

    def test_the_config_of_keras_says_where_channels_are(self, keras, keras_loss):
        logits, target = random_sample("multiclass", space=(5, 6))
        keras.config.set_image_data_format("channels_first")
        try:
            loss = keras_loss("dice")
        finally:
            keras.config.set_image_data_format("channels_last")
        assert loss(target, logits.softmax(1)).item() == pytest.approx(build_loss("dice")(logits, target).item())

    def test_an_unknown_format_is_refused(self, keras_loss):
        with pytest.raises(ConfigError, match="channels_last or channels_first, not 'last'"):
            keras_loss("dice", data_format="last")

    def test_arrays_are_taken(self, keras_loss):
        logits, target = random_sample("multiclass")
        value = keras_loss("dice")(target.numpy().astype(np.uint8), probabilities(logits).numpy())
        assert value.item() == pytest.approx(build_loss("dice")(logits, target).item())

    def test_ignored_voxels(self, keras_loss):
        logits, target = random_sample("multiclass", space=(5, 6))
        target[:, 2] = 255
        value = keras_loss("dice_ce", ignore_label=255)(target.float(), probabilities(logits))
        assert value.item() == pytest.approx(build_loss("dice_ce", ignore_label=255)(logits, target).item())

    def test_several_classes_a_voxel_are_not_one_hot(self, keras_loss):
        with pytest.raises(ValueError, match=r"\(1, 3, 2, 2\).*not one-hot.*multilabel"):
            keras_loss("dice")(torch.ones(1, 2, 2, 3), torch.full((1, 2, 2, 3), 1 / 3))

    def test_broken_class_indices_are_refused(self, keras_loss):
        with pytest.raises(ValueError, match="whole numbers"):
            keras_loss("dice")(torch.full((1, 2, 2), 0.5), torch.full((1, 2, 2, 3), 1 / 3))


class TestSampleWeight:
    @pytest.mark.parametrize("name", ["dice", "ce", "dice_ce"])
    @pytest.mark.parametrize("axis", [False, True])
    def test_a_weight_a_voxel_is_our_weight_map(self, name, axis, keras_loss):
        logits, target = random_sample("multiclass", space=(5, 6))
        weight = torch.rand(target.shape, dtype=torch.float64)
        value = keras_loss(name)(target, probabilities(logits), weight.unsqueeze(-1) if axis else weight)
        expected = build_loss(name)(logits, target, weight_map=weight)
        assert value.item() == pytest.approx(expected.item())
        assert value.item() != pytest.approx(build_loss(name)(logits, target).item())

    @pytest.mark.parametrize("shape", [(2,), (2, 1), (2, 1, 1, 1)])
    def test_a_weight_a_sample_is_refused(self, shape, keras_loss):
        logits, target = random_sample("multiclass", space=(5, 6))
        with pytest.raises(ValueError, match=r"a weight a voxel.*one number for the batch"):
            keras_loss("dice")(target, probabilities(logits), torch.ones(shape))

    def test_a_mask_of_keras_leaves_voxels_out(self, keras_loss):
        logits, target = random_sample("multiclass", space=(5, 6))
        answer = probabilities(logits)
        answer._keras_mask = mask = target != 1
        value = keras_loss("dice_ce")(target, answer)
        assert value.item() == pytest.approx(build_loss("dice_ce")(logits, target, mask).item())


class TestTraining:
    @staticmethod
    def network(keras):
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2"),
            keras.layers.Conv2D(3, 1, activation="softmax"),
        ]
        return keras.Sequential(layers)

    @staticmethod
    def scans():
        images = np.random.default_rng(0).random((4, 8, 8, 1), dtype=np.float32)
        return images, (images[..., 0] > 0.3).astype(np.uint8) + (images[..., 0] > 0.6)

    @pytest.mark.parametrize("one_hot", [False, True])
    def test_two_steps_make_the_loss_smaller(self, keras, keras_loss, one_hot):
        network, (images, labels) = self.network(keras), self.scans()
        truth = keras.utils.to_categorical(labels, 3) if one_hot else labels
        optimizer = keras.optimizers.SGD(0.1)
        network.compile(optimizer, keras_loss("dice_ce", dtype=None, class_weights=(1, 2, 2)), metrics=["accuracy"])
        losses = network.fit(images, truth, epochs=3, batch_size=4, verbose=0).history["loss"]
        assert losses[0] > losses[1] > losses[2]

    def test_weights_reach_the_loss_of_an_evaluation(self, keras, keras_loss):
        network, (images, labels) = self.network(keras), self.scans()
        network.compile("sgd", keras_loss("ce", dtype=None))
        none = np.zeros((4, 8, 8), np.float32)
        regularisation = sum(network.losses).item()
        found = network.evaluate(images, labels, sample_weight=none, verbose=0)
        assert found == pytest.approx(regularisation, rel=1e-5)

    @pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    def test_a_saved_network_brings_its_loss(self, keras, keras_loss, tmp_path):
        network, (images, labels) = self.network(keras), self.scans()
        network.compile("sgd", keras_loss("tversky", dtype=None, fn_weight=0.9, class_weights=[1, 2, 3]))
        network.save(tmp_path / "network.keras")
        again = keras.saving.load_model(tmp_path / "network.keras")
        assert again.loss.get_config() == network.loss.get_config()
        assert again.evaluate(images, labels, verbose=0) == network.evaluate(images, labels, verbose=0)


class TestConfig:
    def test_a_round_trip_keeps_everything(self, keras, keras_loss):
        options = {"dice": {"smooth": 1.0}, "class_weights": [1, 2, 3]}
        loss = keras_loss("dice_ce", from_logits=True, data_format="channels_first", name="mine", **options)
        again = keras.losses.deserialize(keras.losses.serialize(loss))
        assert again.get_config() == loss.get_config()
        assert (again.name, again.from_logits, again.dtype) == ("mine", True, "float64")
        logits, target = random_sample("multiclass")
        assert torch.equal(again(target, logits), loss(target, logits))

    def test_the_name_of_a_preset_is_one_scope(self, keras_loss):
        assert keras_loss("post/dice").name == "post_dice"

    @pytest.mark.parametrize(
        ("name", "options"), [("loss.py:Mine", {}), ("weighted_sum", {"of": [{"name": "loss.py:Mine"}]})]
    )
    def test_a_model_file_runs_no_code(self, name, options, keras, keras_loss, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        code = "import pathlib", "import segtrain.losses.region as r", "pathlib.Path('ran').touch()", "Mine = r.Dice"
        (tmp_path / "loss.py").write_text("\n".join(code))
        config = keras_loss(name, **options).get_config()
        (tmp_path / "ran").unlink()
        sys.modules.pop(next(m for m in sys.modules if m.startswith("segtrain_user_")))
        with pytest.raises(ConfigError, match=r"'loss.py:Mine' is not loaded(.|\n)*compile=False"):
            type(keras_loss("dice")).from_config(config)
        assert not (tmp_path / "ran").exists()

    def test_a_wrong_option_is_told(self, keras_loss):
        with pytest.raises(ConfigError, match="fn_weight"):
            keras_loss("tversky", fn_wieght=0.7)


class TestWithoutKeras:
    def test_another_backend_is_refused(self, keras, keras_loss, monkeypatch):
        monkeypatch.setattr(keras.config, "backend", lambda: "jax")
        with pytest.raises(ConfigError, match=r"Keras runs on jax(.|\n)*why:(.|\n)*KERAS_BACKEND=torch"):
            keras_loss("dice")

    @pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
    def test_the_default_backend_without_its_library(self, keras, tmp_path):
        environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"} | {"KERAS_HOME": str(tmp_path)}
        command = [sys.executable, "-c", "import segtrain.losses.keras"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 1
        assert "ImportError: Keras cannot be imported\n  why: keras looks for tensorflow" in done.stderr
        assert "fix: set KERAS_BACKEND=torch" in done.stderr

    def test_a_missing_keras_is_told(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "segtrain.losses.keras", raising=False)
        monkeypatch.setitem(sys.modules, "keras", None)
        with pytest.raises(ImportError, match=r"Keras is not installed\n  fix: pip install 'segtrain\[keras\]'"):
            importlib.import_module("segtrain.losses.keras")
