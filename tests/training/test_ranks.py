"""What two ranks exchange, seen from both; and that a process that is alone never meets anybody."""

from __future__ import annotations

import ast
import gc
import itertools
import json
import os
import weakref
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

import segtrain
from segtrain.core.errors import EndedElsewhere, ResourceError
from segtrain.core.launch import Launch
from segtrain.training import ranks as module
from segtrain.training.ranks import ALONE, exchanging, joined, mean_over_ranks
from tests.commands.processes import CONTEXT
from tests.commands.ranks import environment_of, new_table

needs_gloo = pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="torch without gloo")


def network(seed):
    torch.manual_seed(seed)
    return nn.ModuleDict({"seen": nn.Linear(2, 1), "unseen": nn.Linear(2, 1)})


class Both(nn.Module):
    """Answers with both parts, of which the loss reads the first."""

    def __init__(self, parts):
        super().__init__()
        self.parts = parts

    def forward(self, x):
        return self.parts["seen"](x), self.parts["unseen"](x)


def gradients(spread, parts, batches):
    """Of the sum over batches, each of which a rank has half of."""
    for number, batch in enumerate(batches, start=1):
        with exchanging(spread, now=number == len(batches)):
            spread(batch)[0].square().mean().backward()
    assert parts["unseen"].weight.grad is None
    assert parts["unseen"].weight.requires_grad
    return parts["seen"].weight.grad.flatten().tolist()


def inputs():
    random = torch.Generator().manual_seed(5)
    return [torch.randn(4, 2, generator=random) for _ in range(3)]


def meet(place, folder):
    """What one rank does and finds."""
    os.environ.update(place)
    rank = int(place["RANK"])
    found = {}
    with joined(Launch(rank, rank, 2), "cpu") as ranks:
        found["place"] = [ranks.rank, ranks.size, ranks.local_rank, ranks.is_first]
        found["any"] = [ranks.any(False), ranks.any(rank == 1), ranks.any(True)]
        found["shared"] = ranks.shared({"plan": 7} if rank == 0 else None)
        found["gathered"] = ranks.gathered(f"of {rank}" if rank else [])
        found["mean"] = mean_over_ranks(torch.tensor(float(rank))).item()
        parts = network(seed=rank)
        spread = ranks.spread(Both(parts), list(parts["unseen"].parameters()))
        found["weights"] = parts["seen"].weight.flatten().tolist()
        half = slice(2 * rank, 2 * rank + 2)
        found["gradients"] = gradients(spread, parts, [batch[half] for batch in inputs()])
        gone = weakref.ref(ranks.spread(Both(network(seed=3)), []))
        gc.collect()
        found["gone"] = gone() is None
        other = network(seed=10 + rank).to(memory_format=torch.contiguous_format)
        ranks.copy_weights(other)
        found["copied"] = other["unseen"].weight.flatten().tolist()
    (folder / f"{rank}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    table = new_table()
    places = [environment_of(rank, 2, table) for rank in range(2)]
    processes = [CONTEXT.Process(target=meet, args=(place, folder), daemon=True) for place in places]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@needs_gloo
class TestTogether:
    def test_each_knows_its_place(self, found):
        assert [one["place"] for one in found] == [[0, 2, 0, True], [1, 2, 1, False]]

    def test_what_one_asks_for_all_know(self, found):
        assert [one["any"] for one in found] == [[False, True, True]] * 2

    def test_what_the_first_holds_all_have(self, found):
        assert [one["shared"] for one in found] == [{"plan": 7}] * 2

    def test_what_each_holds_all_have_by_rank(self, found):
        assert [one["gathered"] for one in found] == [[[], "of 1"]] * 2

    def test_the_mean_is_over_ranks(self, found):
        assert [one["mean"] for one in found] == [0.5, 0.5]

    def test_all_begin_with_the_weights_of_the_first(self, found):
        assert [one["weights"] for one in found] == [network(0)["seen"].weight.flatten().tolist()] * 2

    def test_gradients_are_those_of_one_process_with_all_of_each_batch(self, found):
        parts = network(0)
        alone = gradients(Both(parts), parts, inputs())
        for one in found:
            assert one["gradients"] == pytest.approx(alone, rel=1e-5)

    def test_a_network_that_nobody_trains_any_more_is_given_back(self, found):
        assert [one["gone"] for one in found] == [True, True]

    def test_weights_are_copied_from_the_first(self, found):
        assert [one["copied"] for one in found] == [network(10)["unseen"].weight.flatten().tolist()] * 2


class TestAlone:
    def test_it_asks_and_tells_itself(self):
        assert (ALONE.rank, ALONE.size, ALONE.local_rank, ALONE.is_first) == (0, 1, None, True)
        assert [ALONE.any(asked) for asked in (False, True)] == [False, True]
        assert ALONE.shared("plan") == "plan"
        assert ALONE.gathered("scores") == ["scores"]

    def test_its_network_is_the_network(self):
        model = network(0)
        assert ALONE.spread(Both(model), []) is None
        with exchanging(model, now=False):
            assert mean_over_ranks(torch.tensor(3.0)) == 3

    def test_nothing_is_initialised(self):
        assert not dist.is_initialized()


@needs_gloo
class TestJoined:
    """Ends that need no second process: the table is all there is."""

    @pytest.fixture
    def table(self, monkeypatch):
        table = new_table()
        for name, value in environment_of(0, 2, table).items():
            monkeypatch.setenv(name, value)
        for name in ("PRECEDENCE_S", "FAREWELL_S"):
            monkeypatch.setattr(f"segtrain.training.notices.{name}", 0.1)
        monkeypatch.setattr("segtrain.training.notices.TRAININGS", itertools.count(4))
        store, _, _ = next(dist.rendezvous("env://"))
        yield dist.PrefixStore("segtrain 4", store)
        del table  # it serves until here

    def test_another_kind_of_device_is_refused_before_anything_waits_for_ever(self, table):
        table.set("device/1", "cuda")
        with (
            pytest.raises(ResourceError, match="rank 0 would train on cpu, rank 1 on cuda"),
            joined(Launch(0, 0, 2), "cpu"),
        ):
            pass
        assert table.get("ended") == b"0:4"

    def test_who_waits_for_a_rank_that_never_came_ends_with_its_code(self, table):
        table.set("ended", "1:2")
        with pytest.raises(EndedElsewhere) as error, joined(Launch(0, 0, 2), "cpu"):
            pass
        assert error.value.exit_code == 2

    def test_an_error_inside_is_written_up_before_it_leaves(self, table, monkeypatch):
        monkeypatch.setattr(module, "_group", lambda *_: ALONE)
        with pytest.raises(ValueError, match="mine"), joined(Launch(0, 0, 2), "cpu"):
            raise ValueError("mine")
        assert table.get("ended") == b"0:70"

    def test_an_error_after_another_rank_has_ended_is_not_told(self, table, monkeypatch):
        monkeypatch.setattr(module, "_group", lambda *_: ALONE)
        table.set("ended", "1:5")
        with pytest.raises(EndedElsewhere) as error, joined(Launch(0, 0, 2), "cpu"):
            raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")
        assert error.value.exit_code == 5


def test_few_modules_know_torch_distributed():
    package = Path(segtrain.__file__).parent
    users = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.startswith("torch.distributed") for name in names):
                users.add(path.relative_to(package).as_posix())
    assert users == {"losses/ranks.py", "training/notices.py", "training/ranks.py"}
