"""Events are plain values that a watcher can tell apart."""

import dataclasses
import typing

from segtrain.core import events


def kinds():
    return [k for k in vars(events).values() if isinstance(k, type) and k.__module__ == events.__name__]


def test_every_kind_is_in_the_union_that_watchers_match():
    assert set(kinds()) == set(typing.get_args(events.Event))


def test_no_event_can_be_changed_by_who_sees_it_first():
    assert len(kinds()) > 5
    assert all(kind.__dataclass_params__.frozen for kind in kinds() if dataclasses.is_dataclass(kind))
    assert all(dataclasses.is_dataclass(kind) for kind in kinds())
