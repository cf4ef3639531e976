"""Sizes are those of the plan without the axis of slices; the way up answers at the levels that are asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segtrain.core.plan import Plan
from segtrain.models.decoding import Sizes, decode, decoder_stages, heads
from tests.models import networks


def test_a_slice_has_two_axes():
    sizes = Sizes.of(networks.plan(dims=2))
    assert (sizes.dims, sizes.strides, sizes.kernels) == (2, ((1, 1), (2, 2), (2, 2)), ((3, 3),) * 3)
    assert sizes.factors == (4, 4)


def test_thick_slices_keep_their_flat_kernels_and_strides():
    changes = {"strides": ((2, 2, 1), (2, 2, 2)), "kernels": ((3, 3, 1), (3, 3, 3), (3, 3, 3))}
    sizes = Sizes.of(Plan(**{**dict(networks.plan()), **changes}))
    assert sizes.strides == ((1, 1, 1), (2, 2, 1), (2, 2, 2))
    assert sizes.kernels[0] == (3, 3, 1)
    assert sizes.factors == (4, 4, 2)


def test_an_image_that_does_not_fit_is_refused():
    sizes = Sizes.of(networks.plan())
    sizes.require_fitting(torch.zeros(1, 1, 8, 4, 4))
    for size in ((8, 4, 6), (8, 4)):
        with pytest.raises(ValueError, match=r"multiples of \(4, 4, 4\)"):
            sizes.require_fitting(torch.zeros(1, 1, *size))


def test_it_answers_at_the_levels_that_are_asked_for_finest_first():
    plan = networks.plan()
    sizes = Sizes.of(plan)
    up, decoder = decoder_stages(sizes, plan)
    answers = heads(sizes, plan, 2, levels=9)
    for parameter in nn.ModuleList([up, decoder, answers]).parameters():
        nn.init.constant_(parameter, 0.1)
    skips = [torch.randn(1, width, 16 // 2**i, 12 // 2**i, 8 // 2**i) for i, width in enumerate(plan.widths)]
    both, finest = (decode(skips, up, decoder, answers, levels=n) for n in (2, 1))
    assert [tuple(level.shape[1:]) for level in both] == [(2, 16, 12, 8), (2, 8, 6, 4)]
    assert len(finest) == 1
    assert torch.equal(finest[0], both[0])


def test_the_bottleneck_answers_only_where_it_is_all_there_is():
    for stages, count in ((3, 2), (2, 1), (1, 1)):
        plan = networks.plan(stages=stages)
        assert len(heads(Sizes.of(plan), plan, 2, levels=stages)) == count
