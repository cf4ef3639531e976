import pytest
import torch

from segtrain.losses import chunks
from segtrain.losses.chunks import class_chunks, member_chunks, sum_dtype


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setitem(chunks.CHUNK_VALUES, "cpu", (1, 1))


def test_chunks_cover_every_voxel_of_every_sample_once(short):
    x = torch.zeros(2, 3, 2500)
    classes = torch.randint(0, 3, (2, 2500), generator=torch.Generator().manual_seed(0))
    seen = torch.zeros(2, 3, 2500)
    for chunk, _ in class_chunks(x, classes, None, None, 2):
        seen[chunk.sample, :, chunk.place] += chunk.g
    assert torch.equal(seen.argmax(1), classes)
    assert torch.equal(seen.sum(1), torch.ones(2, 2500))


def test_a_label_that_is_no_class_belongs_to_none():
    ((chunk, _),) = class_chunks(torch.zeros(1, 2, 3), torch.tensor([[0, 255, 1]], dtype=torch.uint8), None, None, 1)
    assert chunk.g.tolist() == [[1, 0, 0], [0, 0, 1]]


def test_memberships_may_be_parts(short):
    truth = torch.rand(1, 2, 1500, generator=torch.Generator().manual_seed(0))
    parts = [chunk.g.clone() for chunk, _ in member_chunks(torch.zeros_like(truth), truth, None, None, 1)]
    assert len(parts) == 2
    assert torch.equal(torch.cat(parts, 1), truth[0])


def test_totals_are_weighted_and_logits_of_ignored_voxels_are_hidden():
    x = torch.tensor([[[1.0, float("nan"), 3.0]]])
    weight = torch.tensor([[2.0, 0.0, 0.5]])
    ((chunk, _),) = class_chunks(x, torch.zeros(1, 3, dtype=torch.int64), weight, None, 1)
    assert chunk.logits(x).tolist() == [[1, 0, 3]]
    assert chunk.total(chunk.logits(x)).tolist() == [3.5]
    assert chunk.by_class(torch.tensor([1.0, 7.0, 4.0])).tolist() == [4]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_sums_are_made_in_float32_at_least(dtype):
    assert sum_dtype(torch.zeros(1, dtype=dtype)) == torch.float32
    assert sum_dtype(torch.zeros(1, dtype=torch.float64)) == torch.float64


def test_on_other_devices_chunks_are_small_beside_the_logits():
    x = torch.zeros(1, 4, 8_000_000, device="meta")
    lengths = [chunk.g.shape[1] for chunk, _ in member_chunks(x, x, None, None, 1)]
    assert len(lengths) == chunks.PARTS
    assert sum(lengths) == 8_000_000
    few = torch.zeros(1, 4, 1 << 18, device="meta")
    assert len(list(member_chunks(few, few, None, None, 1))) == 1


def test_a_membership_that_is_no_number_is_hidden_where_a_voxel_weighs_nothing():
    truth = torch.tensor([[[torch.nan, 0.5]]])
    ((chunk, _),) = member_chunks(torch.zeros(1, 1, 2), truth, torch.tensor([[0.0, 1.0]]), None, 1)
    assert chunk.g.tolist() == [[0, 0.5]]
