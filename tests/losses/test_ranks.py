"""Two processes with a part of the batch each are one process with the whole batch."""

import gc
import json
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from segtrain.losses import build_loss
from segtrain.losses.ranks import sum_over_ranks

pytestmark = pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="torch without gloo")

HALVES, UNEVEN = (slice(0, 2), slice(2, 4)), (slice(0, 1), slice(1, 4))
"""Samples of the two ranks."""

POOLED = [
    *((name, {"reduce_over": over}) for name in ("dice", "tversky") for over in ("batch", "flat")),
    ("generalized_dice", {"reduce_over": "batch"}),
    ("generalized_wasserstein_dice", {"reduce_over": "batch"}),
    ("cldice", {"reduce_over": "batch"}),
    ("cldice", {"reduce_over": "flat", "class_weights": (1.0, 2.0, 3.0)}),
    ("dice", {"reduce_over": "flat", "class_weights": (1.0, 2.0, 3.0)}),
    ("dice", {"reduce_over": "batch", "absent": "fp_only", "ignore_label": 255}),
]
"""Made of sums over the batch alone, so that every rank has the value of the whole batch."""
WITH_LOCAL_MEANS = [("dice_ce", {"reduce_over": "batch"}), ("exp_log", {"reduce_over": "batch"})]
LEFT_ALONE = [("dice", {}), ("generalized_dice", {}), ("cldice", {}), ("ce", {})]

CASES = [
    *((split, case) for split in ("halves", "uneven") for case in POOLED),
    *(("halves", case) for case in (*WITH_LOCAL_MEANS, *LEFT_ALONE)),
]


def samples():
    """Images (4, 1, 6, 5) and labels (4, 6, 5) that differ in size; the third sample has no class 2."""
    random = torch.Generator().manual_seed(1)
    images = torch.randn(4, 1, 6, 5, generator=random, dtype=torch.float64)
    thresholds = torch.tensor([0.9, 0.5, 1.2, -0.3]).view(4, 1, 1)
    labels = (images[:, 0] > thresholds).long() + (images[:, 0] > 1)
    labels[2].clamp_(max=1)
    return images, labels


def network():
    torch.manual_seed(2)
    return nn.Conv2d(1, 3, 3, padding=1).double()


def trained(net, case, images, labels):
    """Value and gradients of one step."""
    name, options = case
    if "ignore_label" in options:
        labels = labels.masked_fill(images[:, 0] < -1, options["ignore_label"])
    net.zero_grad()
    value = build_loss(name, "multiclass", **options)(net(images), labels)
    value.backward()
    return value.item(), [p.grad.flatten().tolist() for p in net.parameters()]


def all_cases(rank, folder):
    """What one rank does: all cases, one after the other."""
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=timedelta(minutes=2))
    net = DistributedDataParallel(network())
    images, labels = samples()
    parts = ({"halves": HALVES, "uneven": UNEVEN}[split][rank] for split, _ in CASES)
    found = [trained(net, case, images[part], labels[part]) for (_, case), part in zip(CASES, parts, strict=True)]
    # Gloo may hang in taking down the connections of a peer that is gone: both are here while all of that goes.
    del net
    gc.collect()
    dist.destroy_process_group()
    (folder / f"{rank}.left").touch()
    until = time.monotonic() + 60
    while not (folder / f"{1 - rank}.left").exists() and time.monotonic() < until:
        time.sleep(0.01)
    return found


def other_process(_, folder):
    torch.set_num_threads(1)
    (folder / "1.json").write_text(json.dumps(all_cases(1, folder)))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """(split, name, options) -> what each of two ranks has found."""
    folder = tmp_path_factory.mktemp("ranks")
    other = mp.spawn(other_process, args=(folder,), nprocs=1, join=False)
    mine = all_cases(0, folder)
    other.join()
    theirs = json.loads((folder / "1.json").read_text())
    return {str(case): pair for case, *pair in zip(CASES, mine, theirs, strict=True)}


def assert_same_gradients(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-12)
    assert max(abs(slope) for slopes in expected for slope in slopes) > 1e-4


def ids(value):
    return value if isinstance(value, str) else "-".join([value[0], *map(str, value[1].values())])


@pytest.mark.parametrize("split", ["halves", "uneven"])
@pytest.mark.parametrize("case", POOLED, ids=ids)
def test_every_rank_has_the_value_of_the_whole_batch_and_their_mean_gradient_is_its_gradient(ranks, split, case):
    value, gradients = trained(network(), case, *samples())
    for found, averaged in ranks[str((split, case))]:
        assert found == pytest.approx(value, rel=1e-6)
        assert_same_gradients(averaged, gradients)


@pytest.mark.parametrize("case", WITH_LOCAL_MEANS, ids=ids)
def test_with_local_means_beside_it_the_mean_over_ranks_is_that_of_the_batch(ranks, case):
    value, gradients = trained(network(), case, *samples())
    pair = ranks[str(("halves", case))]
    assert sum(found for found, _ in pair) / 2 == pytest.approx(value, rel=1e-6)
    for _, averaged in pair:
        assert_same_gradients(averaged, gradients)


@pytest.mark.parametrize("case", LEFT_ALONE, ids=ids)
def test_a_loss_of_samples_is_left_alone(ranks, case):
    images, labels = samples()
    alone = [trained(network(), case, images[part], labels[part])[0] for part in HALVES]
    found = [value for value, _ in ranks[str(("halves", case))]]
    assert found == pytest.approx(alone, rel=1e-12)
    assert abs(found[0] - found[1]) > 1e-4


def test_pooled_over_one_half_the_value_would_be_another():
    images, labels = samples()
    for case in POOLED:
        whole, _ = trained(network(), case, images, labels)
        half, _ = trained(network(), case, images[HALVES[0]], labels[HALVES[0]])
        assert abs(whole - half) > 1e-4


def test_without_other_ranks_the_parts_come_back_as_they_are(tmp_path):
    parts = torch.ones(2, requires_grad=True), torch.zeros(2)
    assert sum_over_ranks(*parts) == parts
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        assert all(found is part for found, part in zip(sum_over_ranks(*parts), parts, strict=True))
    finally:
        dist.destroy_process_group()
