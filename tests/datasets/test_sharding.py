"""An epoch's order beside the contract's text written out with lists of rows."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.datasets.sharding import Plan, groups_of
from emberline.errors import ConfigError

Row = tuple[int, int]  # a row group's number, and a row of it
Parts = list[list[Row | None]]  # one global batch, by replica; None fills

MANY = Plan((50,) * 20, seed=1, global_batch_size=32, streams=4, pool=3)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    streams = draw(st.sampled_from([1, 2, 3, 4, 6, 8]))
    group_rows = draw(st.lists(st.integers(1, 9), min_size=1, max_size=14))
    batch = streams * draw(st.integers(1, 5))
    return Plan(
        tuple(group_rows), draw(st.integers(0, 2**31)), batch, streams, draw(st.integers(1, 4))
    )


RELAXED = settings(deadline=None, max_examples=60)
EPOCHS = st.integers(0, 1000)


def stream_rows(plan: Plan, epoch: int, stream: int) -> list[Row]:
    """A stream's rows as the plan has them come."""
    rows: list[Row] = []
    for pool in plan.pools(epoch, stream):
        inside = [
            (piece.group, row) for piece in pool.pieces for row in range(piece.start, piece.stop)
        ]
        assert len(inside) == sum(map(len, pool.pieces)) == len(pool.order)
        rows += [inside[place] for place in pool.order]
    return rows


def by_the_contract(plan: Plan, epoch: int, stream: int) -> list[Row]:
    """A stream's rows by the words of the contract: permute the groups, cut the rows, permute
    within pools of groups.
    """
    groups = np.random.default_rng([plan.seed, epoch, 1]).permutation(len(plan.group_rows)).tolist()
    sequence = [(group, row) for group in groups for row in range(plan.group_rows[group])]
    cuts = [cut * len(sequence) // plan.streams for cut in (stream, stream + 1)]
    mine = sequence[slice(*cuts)]
    present = [group for group in groups if any(group == other for other, _ in mine)]
    found: list[Row] = []
    for number in range(-(-len(present) // plan.pool)):
        pool = present[number * plan.pool : (number + 1) * plan.pool]
        rows = [row for row in mine if row[0] in pool]
        order = np.random.default_rng([plan.seed, epoch, 2, stream, number]).permutation(len(rows))
        found += [rows[place] for place in order]
    return found


def global_batches(plan: Plan, epoch: int, replicas: int) -> list[Parts]:
    """Every global batch, by replica, each of which takes its streams' rows as they come and
    fills what is lacking.
    """
    size = plan.global_batch_size // plan.streams
    batches: list[Parts] = []
    for step in range(plan.steps):
        takes = {
            s: stream_rows(plan, epoch, s)[step * size : (step + 1) * size]
            for s in range(plan.streams)
        }
        filled: dict[int, list[Row | None]] = {
            s: [*rows, *[None] * (size - len(rows))] for s, rows in takes.items()
        }
        batches.append(
            [
                [row for s in plan.streams_of(r, replicas) for row in filled[s]]
                for r in range(replicas)
            ]
        )
    return batches


@RELAXED
@given(plans(), EPOCHS)
def test_every_row_comes_exactly_once_an_epoch(plan: Plan, epoch: int) -> None:
    seen = [row for batch in global_batches(plan, epoch, 1) for row in batch[0] if row is not None]
    assert sorted(seen) == [
        (group, row) for group, rows in enumerate(plan.group_rows) for row in range(rows)
    ]


@RELAXED
@given(plans(), EPOCHS)
def test_streams_are_what_the_contract_says(plan: Plan, epoch: int) -> None:
    for stream in range(plan.streams):
        assert stream_rows(plan, epoch, stream) == by_the_contract(plan, epoch, stream)


@RELAXED
@given(plans(), EPOCHS)
def test_streams_sizes_are_differences_of_rounded_cuts(plan: Plan, epoch: int) -> None:
    rows = sum(plan.group_rows)
    cuts = [
        int(np.floor(stream * rows / plan.streams + 1e-9)) for stream in range(plan.streams + 1)
    ]
    sizes = [len(stream_rows(plan, epoch, stream)) for stream in range(plan.streams)]
    assert (
        sizes
        == np.diff(cuts).tolist()
        == [plan.stream_rows(stream) for stream in range(plan.streams)]
    )


@RELAXED
@given(plans(), EPOCHS)
def test_any_number_of_replicas_sees_the_same_global_batches(plan: Plan, epoch: int) -> None:
    alone = global_batches(plan, epoch, 1)
    for replicas in (r for r in range(1, plan.streams + 1) if plan.streams % r == 0):
        shared = global_batches(plan, epoch, replicas)
        assert {len(part) for batch in shared for part in batch} == {
            plan.global_batch_size // replicas
        }
        assert [sorted(chain(*batch), key=repr) for batch in shared] == [
            sorted(chain(*batch), key=repr) for batch in alone
        ]


@RELAXED
@given(plans())
def test_steps_are_as_few_as_the_longest_stream_allows(plan: Plan) -> None:
    longest = max(len(by_the_contract(plan, 0, stream)) for stream in range(plan.streams))
    size = plan.global_batch_size // plan.streams
    assert (plan.steps - 1) * size < longest <= plan.steps * size
    assert plan.stream_batch_size == size


@RELAXED
@given(plans(), EPOCHS)
def test_a_pool_holds_at_most_so_many_pieces_and_only_the_last_holds_fewer(
    plan: Plan, epoch: int
) -> None:
    for stream in range(plan.streams):
        sizes = [len(pool.pieces) for pool in plan.pools(epoch, stream)]
        assert all(size == plan.pool for size in sizes[:-1])
        assert all(0 < size <= plan.pool for size in sizes[-1:])


@RELAXED
@given(plans(), EPOCHS)
def test_the_same_arguments_give_the_same_order(plan: Plan, epoch: int) -> None:
    assert global_batches(plan, epoch, 1) == global_batches(replace(plan), epoch, 1)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [
        stream_rows(replace(MANY, seed=seed), epoch, 0) for seed in range(3) for epoch in range(3)
    ]
    assert len({tuple(order) for order in orders}) == 9


def test_streams_and_pools_are_not_permuted_alike() -> None:
    pools = [pool for stream in range(4) for pool in replace(MANY, pool=1).pools(0, stream)]
    assert len({tuple(pool.order) for pool in pools}) == len(pools) == 20


def test_with_fewer_rows_than_streams_some_streams_only_fill() -> None:
    plan = Plan((2, 1), seed=0, global_batch_size=16, streams=8)
    assert plan.steps == 1
    (batch,) = global_batches(plan, 0, 8)
    assert (
        sorted(len([row for row in part if row is not None]) for part in batch) == [0] * 5 + [1] * 3
    )


def test_no_rows_make_no_steps() -> None:
    plan = Plan((), seed=0, global_batch_size=8)
    assert (plan.rows, plan.steps, list(plan.pools(0, 0))) == (0, 0, [])


def test_a_number_of_replicas_that_does_not_divide_the_streams_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 replicas cannot share 4 streams equally"):
        MANY.streams_of(0, 3)


@RELAXED
@given(st.lists(st.integers(1, 60), max_size=6), st.integers(1, 20))
def test_row_groups_of_parts_are_full_but_for_each_parts_last(
    parts: list[int], group_rows: int
) -> None:
    cut = [
        [min(group_rows, rows - first) for first in range(0, rows, group_rows)] for rows in parts
    ]
    assert groups_of(
        [(rows, len(groups)) for rows, groups in zip(parts, cut, strict=True)], group_rows
    ) == tuple(chain(*cut))


def test_a_part_without_rows_has_no_row_groups() -> None:
    assert groups_of([(5, 2), (0, 0), (3, 1)], 3) == (3, 2, 3)


@pytest.mark.parametrize("part", [(7, 2), (6, 3), (0, 1), (3, 0)])
def test_parts_that_are_cut_otherwise_are_refused(part: tuple[int, int]) -> None:
    with pytest.raises(
        ConfigError, match=f"{part[0]} rows in {part[1]} row groups are not cut every 3 rows"
    ):
        groups_of([(3, 1), part], 3)
