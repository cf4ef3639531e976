"""What the listings of the source post do not survive: words that are not literals, odd shapes, layouts and dtypes."""

import json

import pytest
import torch

from segtrain.losses import build_loss, list_losses
from segtrain.losses.registry import supported_modes
from tests.losses.fixtures import fixture_b, gradient_of, random_sample

LOVASZ = ["lovasz_hinge", "lovasz_softmax", "post/lovasz_hinge", "post/lovasz_softmax"]
BINARY = [name for name in list_losses() if "binary" in supported_modes(name)]
every_lovasz = pytest.mark.parametrize("name", LOVASZ)


def mode_of(name):
    return "multiclass" if "softmax" in name else "binary"


class TestLovasz:
    @pytest.mark.parametrize("word", ["present", "all"])
    def test_a_word_from_a_file_means_what_the_literal_means(self, word):
        logits, target = random_sample("multiclass")
        target[target == 2] = 0
        found, expected = (
            build_loss("lovasz_softmax", classes=c)(logits, target) for c in (json.loads(f'"{word}"'), word)
        )
        assert found == expected

    def test_the_two_words_differ_where_a_class_is_absent(self):
        logits, target = random_sample("multiclass")
        target[target == 2] = 0
        present, every = (build_loss("lovasz_softmax", classes=c)(logits, target) for c in ("present", "all"))
        assert present != every

    @every_lovasz
    def test_where_all_is_void_the_value_is_a_zero_in_the_graph(self, name):
        logits, target = random_sample(mode_of(name))
        logits.requires_grad_()
        value = build_loss(name)(logits, target, torch.zeros(2, 3, 4, 2))
        assert value.shape == ()
        assert value == 0
        value.backward()
        assert not logits.grad.any()

    @every_lovasz
    def test_one_valid_voxel_is_enough(self, name):
        logits, target = random_sample(mode_of(name), samples=1)
        mask = torch.zeros(1, 3, 4, 2)
        mask[0, 0, 0, 0] = 1
        assert gradient_of(build_loss(name), logits, target, mask)[..., 0, 0, 0].any()

    @every_lovasz
    def test_volumes_are_taken_as_images_are(self, name):
        logits, target = random_sample(mode_of(name), space=(2, 3, 4))
        flat_target = target.flatten(-3, -2)
        expected = build_loss(name)(logits.flatten(2, 3), flat_target)
        assert build_loss(name)(logits, target).item() == pytest.approx(expected.item(), rel=1e-12)

    def test_one_sigmoid_is_taken_by_the_softmax_form_with_its_defaults(self):
        assert build_loss("lovasz_softmax")(*fixture_b()).item() == pytest.approx(0.370377, abs=6e-7)

    @every_lovasz
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_dtype_of_the_logits_is_kept(self, name, dtype):
        logits, target = random_sample(mode_of(name), dtype=dtype)
        assert build_loss(name)(logits, target).dtype == dtype
        assert gradient_of(build_loss(name), logits, target).dtype == dtype

    @every_lovasz
    def test_its_gradient_can_be_checked(self, name):
        logits, target = random_sample(mode_of(name), samples=1, space=(2, 3))
        assert torch.autograd.gradcheck(build_loss(name), (logits.requires_grad_(), target), atol=1e-5)


@pytest.mark.parametrize("name", BINARY)
class TestLayoutsAndDtypes:
    def test_channels_last_is_only_another_layout(self, name):
        logits, target = random_sample("binary", space=(4, 5))
        expected = build_loss(name)(logits, target).item()
        wide = torch.cat([logits, logits], 1).to(memory_format=torch.channels_last)[:, :1]
        assert not wide.is_contiguous()
        assert build_loss(name)(wide, target).item() == pytest.approx(expected, rel=1e-12)

    def test_a_target_with_its_axes_in_another_order_is_refused(self, name):
        logits, target = random_sample("binary", space=(4, 5))
        with pytest.raises(ValueError, match=r"logits \(2, 1, 4, 5\), target \(2, 4, 5, 1\)"):
            build_loss(name, "binary")(logits, target.movedim(1, -1))

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.float32])
    def test_integers_are_as_good_a_target_as_numbers(self, name, dtype):
        logits, target = random_sample("binary", space=(4, 5))
        found, expected = (build_loss(name)(logits, t).item() for t in (target.to(dtype), target))
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", [n for n in list_losses() if "multilabel" in supported_modes(n)])
def test_labels_with_their_channels_last_are_refused(name):
    logits, target = random_sample("multilabel", space=(4, 5))
    with pytest.raises(ValueError, match=r"logits \(2, 2, 4, 5\), target \(2, 4, 5, 2\)"):
        build_loss(name)(logits, target.movedim(1, -1))
