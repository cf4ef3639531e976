"""What a node of a Ray cluster holds, and in what it differs; no cluster is needed to tell."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from segtrain.core.errors import ResourceError
from segtrain.execution.ray_nodes import Needs, cores_of_a_gpu, differences, gpus_of, holds, looker, marked


def node(cpu, gpu=0, alive=True):
    """As Ray describes one: what a node has none of is not named."""
    return {"Alive": alive, "Resources": {"CPU": float(cpu), "memory": 1e9, **({"GPU": float(gpu)} if gpu else {})}}


@pytest.mark.parametrize(
    ("cpu", "gpu", "needs", "count"),
    [
        (8, 0, Needs(1), 8),
        (8, 0, Needs(3), 2),
        (2, 0, Needs(3), 0),
        (8, 2, Needs(1), 8),
        (8, 2, Needs(1, 1), 2),
        (8, 2, Needs(8, 1), 1),
        (8, 0, Needs(1, 1), 0),
    ],
)
def test_a_node_holds_what_its_cores_and_gpus_suffice_for(cpu, gpu, needs, count):
    assert holds(node(cpu, gpu), needs) == count
    assert holds(node(cpu, gpu, alive=False), needs) == 0


def test_a_head_that_has_no_cores_to_lend_holds_nothing():
    assert holds({"Alive": True, "Resources": {"memory": 1e9}}, Needs(1)) == 0


def test_the_cores_of_a_gpu_are_those_of_the_poorest_node():
    nodes = [node(64, 8), node(12, 2), node(4), node(1, 1, alive=False)]
    assert cores_of_a_gpu(nodes) == 6
    assert cores_of_a_gpu([node(4)]) == 1
    assert cores_of_a_gpu([node(2, 4)]) == 1
    assert gpus_of(nodes) == 10


def test_a_mark_lies_in_the_folder_for_the_time_of_the_block(tmp_path):
    with marked(tmp_path) as mark:
        assert mark.file.parent == tmp_path
        assert mark.seen["mark"] == mark.file.read_text()
        assert len(mark.seen["mark"]) == 32
    assert list(tmp_path.iterdir()) == []


def test_no_two_marks_are_alike(tmp_path):
    def content():
        with marked(tmp_path) as mark:
            return mark.seen["mark"]

    assert content() != content()


def test_a_folder_that_is_yet_to_be_made_is_marked_above_it(tmp_path):
    with marked(tmp_path / "runs/sweep") as mark:
        assert mark.file.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user who may not write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ResourceError), marked(tmp_path):
        pass
    tmp_path.chmod(0o700)


def test_a_look_finds_versions_the_mark_and_the_folder(tmp_path):
    (tmp_path / "mark").write_text("17")
    seen = looker()(str(tmp_path / "mark"), str(tmp_path))
    torch = version("torch").split("+")[0]
    assert seen == {"mark": "17", "folder": "True", "segtrain": version("segtrain"), "torch": torch}
    assert looker()(str(tmp_path / "none"), str(tmp_path / "none")).items() >= {
        ("mark", "FileNotFoundError"),
        ("folder", "False"),
    }


def faults(mark, /, **changed):
    return list(differences("n7 (10.0.0.7)", {**mark.seen, **changed}, mark))


def test_a_node_is_named_with_all_in_which_it_differs(tmp_path):
    with marked(tmp_path) as mark:
        assert faults(mark) == []
        found = faults(mark, segtrain="none", torch="2.0.0", mark="FileNotFoundError", folder="False")
    assert [problem.what for problem in found] == [
        "a node of the cluster has another version of segtrain",
        "a node of the cluster has another version of torch",
        "a node of the cluster does not see the run folder",
    ]
    assert {problem.where for problem in found} == {"node n7 (10.0.0.7)"}
    assert all(problem.hint for problem in found)
    assert str(tmp_path) in found[2].why


def test_another_folder_of_the_same_name_is_not_the_same_folder(tmp_path):
    with marked(tmp_path) as mark:
        (problem,) = faults(mark, mark="somebody else's")
    assert "does not see" in problem.what


def test_a_node_without_the_folder_of_the_command_is_named(tmp_path):
    with marked(tmp_path) as mark:
        (problem,) = faults(replace(mark, folder=Path("/here")), folder="False")
    assert problem.why == "no /here there"
