import pytest
import torch

from segtrain.losses import build_loss
from segtrain.losses.overlap import overlap
from segtrain.losses.semimetric import soft_overlap
from segtrain.losses.voxels import Reading, read
from tests.losses.fixtures import gradient_of, random_sample

MODES = ["multiclass", "binary", "multilabel"]
SOFT = ["binary", "multilabel"]
every_mode = pytest.mark.parametrize("mode", MODES)
every_soft_mode = pytest.mark.parametrize("mode", SOFT)
every_loss = pytest.mark.parametrize("name", ["dml", "jml"])


def value(name, sample, mode="auto", mask=None, **options):
    return build_loss(name, mode, **options)(*sample, mask).item()


def same(number):
    return pytest.approx(number, rel=1e-11)


def soft_sample(mode, **more):
    logits, target = random_sample(mode, **more)
    return logits, torch.rand(target.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@every_mode
@pytest.mark.parametrize("smooth", [0, 1e-5, 1])
@pytest.mark.parametrize("reduce_over", ["sample", "batch", "flat"])
@pytest.mark.parametrize(("name", "hard"), [("dml", "dice"), ("jml", "iou")])
def test_for_labels_of_zero_and_one_it_is_the_plain_loss(name, hard, reduce_over, smooth, mode):
    sample, options = random_sample(mode), {"reduce_over": reduce_over, "smooth": smooth}
    assert value(name, sample, **options) == value(hard, sample, **options)


@every_soft_mode
def test_labels_of_zero_and_one_written_as_numbers_are_counted_alike(mode):
    logits, target = random_sample(mode)
    hard, soft = (read(logits, t, None, Reading(mode)) for t in (target, target.double()))
    for one, other in zip(vars(overlap(hard)).values(), vars(soft_overlap(soft)).values(), strict=True):
        assert torch.allclose(one, other)


@every_soft_mode
@every_loss
class TestSoftLabels:
    def test_it_is_its_equation(self, name, mode):
        logits, members = soft_sample(mode, samples=1)
        p, g = logits.sigmoid().flatten(2), members.flatten(2)
        d, total = (p - g).abs().sum(-1), p.sum(-1) + g.sum(-1)
        expected = 1 - (total - d) / (total if name == "dml" else total + d)
        assert value(name, (logits, members), smooth=0) == same(expected.mean().item())

    def test_agreement_costs_nothing(self, name, mode):
        _, members = soft_sample(mode)
        assert value(name, (torch.logit(members), members)) == pytest.approx(0, abs=1e-12)
        assert value("dice" if name == "dml" else "iou", (torch.logit(members), members)) > 0.1

    def test_agreement_is_where_it_is_least(self, name, mode):
        _, members = soft_sample(mode)
        for shift in (-0.5, 0.5):
            gradient = gradient_of(build_loss(name), torch.logit(members) + shift, members)
            assert (gradient * shift > 0).all()

    def test_its_gradient_is_that_of_its_value(self, name, mode):
        logits, members = soft_sample(mode, space=(2, 3))
        loss = build_loss(name, mode)
        assert torch.autograd.gradcheck(lambda x: loss(x, members), (logits.requires_grad_(),), eps=1e-6, atol=1e-5)

    @pytest.mark.parametrize("absent", ["keep", "fp_only"])
    def test_a_mask_leaves_the_loss_of_the_other_voxels(self, name, mode, absent):
        logits, members = soft_sample(mode, samples=1, space=(4, 6))
        mask = torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(3)) > 0.3
        kept = [t.flatten(-2)[..., mask.flatten()].unsqueeze(-2) for t in (logits, members)]
        assert value(name, (logits, members), mode, mask, absent=absent) == same(value(name, kept, mode, absent=absent))


@every_loss
def test_class_weights_average_the_scores_of_the_classes(name):
    logits, members = soft_sample("multilabel")
    alone = [value(name, (logits[:, c : c + 1], members[:, c : c + 1])) for c in range(2)]
    assert value(name, (logits, members), class_weights=(1, 3)) == same((alone[0] + 3 * alone[1]) / 4)


def test_the_jaccard_metric_keeps_the_triangle_inequality_and_dice_does_not():
    random = torch.Generator().manual_seed(0)
    a, b, c = torch.rand(3, 200, 1, 1, 4, generator=random, dtype=torch.float64).pow(4)
    sides = {}
    for name in ("dml", "jml"):
        loss = build_loss(name, smooth=0)
        sides[name] = [
            torch.stack([loss(torch.logit(x[i : i + 1]), y[i : i + 1]) for i in range(len(x))])
            for x, y in ((a, b), (b, c), (a, c))
        ]
    ab, bc, ac = sides["jml"]
    assert (ab + bc - ac).min() >= 0
    ab, bc, ac = sides["dml"]
    assert (ab + bc - ac).min() < 0


def raters(space=(3, 4)):
    """Shares of three exclusive classes (2, 3, *space) that sum to 1."""
    random = torch.Generator().manual_seed(7)
    return torch.rand(2, 3, *space, generator=random, dtype=torch.float64).softmax(1)


@every_loss
class TestSharedVoxels:
    def test_an_answer_of_the_same_shares_costs_nothing(self, name):
        shares = raters()
        loss = build_loss(name, "multiclass", include_background=True)
        assert loss(shares.log(), shares).item() == pytest.approx(0, abs=1e-12)
        assert loss(shares.log() * 2, shares) > 0.01

    def test_one_hot_shares_are_classes(self, name):
        logits, target = random_sample("multiclass")
        shares = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).double()
        loss = build_loss(name, "multiclass")
        assert loss(logits, shares).item() == same(loss(logits, target).item())

    def test_a_mask_hides_shares_that_are_none(self, name):
        shares, mask = raters(), torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(1)) > 0.3
        loss = build_loss(name, "multiclass")
        hidden = shares.masked_fill(~mask.unsqueeze(1), torch.nan)
        assert loss(shares.log() * 2, hidden, mask) == loss(shares.log() * 2, shares, mask)

    def test_shares_that_sum_to_something_else_are_refused(self, name):
        with pytest.raises(ValueError, match=r"exclusive classes sum to 0.5, not 1"):
            build_loss(name, "multiclass")(torch.zeros(2, 3, 3, 4), raters() / 2)


def test_no_other_loss_takes_shares_of_exclusive_classes():
    with pytest.raises(ValueError, match="a multiclass target must be"):
        build_loss("dice_ce", "multiclass")(torch.zeros(2, 3, 3, 4), raters())


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
def test_with_other_prices_dml_is_tversky_and_with_both_one_jml(mode):
    sample = random_sample(mode)
    prices = {"fp_weight": 0.3, "fn_weight": 0.7, "smooth": 0}
    assert value("dml", sample, mode, **prices) == same(value("tversky", sample, mode, **prices))
    prices = {"fp_weight": 1, "fn_weight": 1, "smooth": 0}
    assert value("dml", sample, mode, **prices) == same(value("jml", sample, mode, smooth=0))
    hard = {"fp_weight": 0.3, "fn_weight": 0.7, "smooth": 0, "exponent": 2}
    assert value("dml", sample, mode, **hard) == same(value("focal_tversky", sample, mode, **hard))
