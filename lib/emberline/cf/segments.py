"""What is popular among people who have something in common, such as a region: with n_si ratings of
item i in segment s, N_s in the segment, and the share p_i of the item among the ratings of all,

    share of i in s = (n_si + m p_i) / (N_s + m)

so that a segment of few ratings is like the whole (the mean of a Dirichlet prior of m ratings).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.entries import places_in
from emberline.cf.listing import Popular
from emberline.numeric import hashing
from emberline.numeric.arrays import Array, Float32, Int32, Int64

_PRIOR = 200.0  # ratings: m
_MOST = 100  # segments, the largest, that have a list of their own
_BETWEEN = "|"
MEMBERS = pa.schema([("user", pa.int32()), ("segment", pa.int64())])
NAMES = pa.schema([("segment", pa.int64()), ("name", pa.string())])
COUNTS = pa.schema([("segment", pa.int32()), ("item", pa.int32()), ("ratings", pa.int64())])


def _no_ids() -> Int32:
    return np.empty(0, np.int32)


@dataclass(frozen=True)
class Fillers:
    """What fills lists up: what is popular `with_all`, or, of users (n,), ascending, what is in
    their segment (n,), whose place is in `in_segments`.
    """

    with_all: Popular
    users: Int32 = field(default_factory=_no_ids)
    segments: Int32 = field(default_factory=_no_ids)
    in_segments: tuple[Popular, ...] = ()

    def groups(self, wanted: Int32) -> Iterator[tuple[Int32, Popular, bool]]:
        """Some of the users (m,), what fills their lists up, and whether that is a segment's."""
        places = places_in(self.users, wanted)
        known = places >= 0
        of = np.where(known, self.segments[places] if len(self.users) else -1, -1)
        for segment in np.unique(of):
            some = wanted[of == segment]
            popular = self.with_all if segment < 0 else self.in_segments[segment]
            yield some, popular, bool(segment >= 0)


@dataclass(frozen=True)
class Members:
    """Users (n,), ascending, and the number of the segment (n,) that each is in, of so many."""

    users: Int32
    segments: Int32
    count: int

    @classmethod
    def of(cls, users: Int32, hashes: Int64, rated: Int32, min_support: int) -> Self:
        """Of users and what they have in common, hashed (n,): in segments of at least so many who
        have rated something, `rated` (m,).
        """
        segments, counts = np.unique(hashes[np.isin(users, rated)], return_counts=True)
        return cls.in_some(users, hashes, segments[used(counts, min_support)])

    @classmethod
    def in_some(cls, users: Int32, hashes: Int64, segments: Int64) -> Self:
        """Of users and what they have in common, hashed (n,): in some segments (m,), which are
        numbered in this order.
        """
        order = np.argsort(segments)
        places = np.searchsorted(segments[order], hashes)
        near = order[np.minimum(places, len(segments) - 1)] if len(segments) else places
        is_in = segments[near] == hashes if len(segments) else np.zeros(len(hashes), bool)
        by_user = np.flatnonzero(is_in)[np.argsort(users[is_in])]
        return cls(users[by_user], near[by_user].astype(np.int32), len(segments))


def used(people: Int64, min_support: int) -> Int64:
    """The places of the largest segments, of so many people (n,), that have a list of their own."""
    largest = np.argsort(-people, kind="stable")[:_MOST]
    places: Int64 = np.sort(largest[people[largest] >= min_support])
    return places


def members(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns user and a label, or words, to MEMBERS: those of whom it is known."""
    for batch in batches:
        users, texts = _said(batch)
        yield pa.record_batch([users, hashes_of(texts)], schema=MEMBERS)


def names(batches: Iterator[pa.RecordBatch], hashes: Int64) -> Iterator[pa.RecordBatch]:
    """The same columns to NAMES of some segments (m,), each once a batch."""
    for batch in batches:
        texts = _said(batch)[1].unique()
        found = hashes_of(texts)
        wanted = pa.array(np.isin(found, hashes))
        yield pa.record_batch([found, texts], schema=NAMES).filter(wanted)


def _said(batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """Users of whom it is known, and what they have in common, as text."""
    users, said = batch.columns
    text = _joined(said) if pa.types.is_list(said.type) else pc.fill_null(said, "")
    known = pc.not_equal(text, "")
    return users.filter(known), text.filter(known)


def _joined(lists: pa.ListArray) -> pa.StringArray:
    """The words of each list as one text, whatever their order."""
    table = pa.table({"row": pc.list_parent_indices(lists), "word": pc.list_flatten(lists)})
    words = table.sort_by([("row", "ascending"), ("word", "ascending")])["word"].combine_chunks()
    ends = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())])
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends, pa.int32()), words), _BETWEEN)


def hashes_of(texts: pa.StringArray) -> Array:
    """By what segments are told apart (n,), of their names."""
    ends = np.concatenate([[0], np.cumsum(pc.binary_length(texts).to_numpy())])
    content = np.frombuffer("".join(texts.to_pylist()).encode(), np.uint8)
    return hashing.of_texts(content, ends).view(np.int64)


def count(batches: Iterator[pa.RecordBatch], members: Members) -> Iterator[pa.RecordBatch]:
    """Columns item and user to COUNTS, of a batch each."""
    for batch in batches:
        items, users = (column.to_numpy() for column in batch.columns)
        places = places_in(members.users, users)
        known = places >= 0
        pairs = (members.segments[places[known]].astype(np.int64) << 32) | items[known]
        found, ratings = np.unique(pairs, return_counts=True)
        columns = [(found >> 32).astype(np.int32), (found & 0xFFFFFFFF).astype(np.int32), ratings]
        yield pa.record_batch(columns, schema=COUNTS)


def popular_in_each(counts: pa.Table, with_all: Popular, number: int) -> tuple[Popular, ...]:
    """Of COUNTS: the items of each of so many segments, by their share there."""
    order = np.argsort(with_all.items)
    items, totals = with_all.items[order], with_all.counts[order].astype(np.float64)
    segment, item, ratings = (column.to_numpy() for column in counts.columns)
    found = []
    for at in range(number):
        own = (segment == at) & np.isin(item, items)
        in_segment = np.bincount(
            np.searchsorted(items, item[own]), ratings[own], minlength=len(items)
        )
        share: Float32 = (
            (in_segment + _PRIOR * totals / totals.sum()) / (in_segment.sum() + _PRIOR)
        ).astype(np.float32)
        found.append(Popular.ranked(items, share))
    return tuple(found)
