"""What is popular: with all, and among people who have something in common; by counts with noise
where the pipeline makes them, and else by all ratings.
"""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import segments
from emberline.cf.listing import Popular
from emberline.cf.segments import COUNTS, MEMBERS, Members
from emberline.datasets.rows import unchanged
from emberline.datasets.schema import TABLES
from emberline.scoring import completion
from emberline.scoring.models.offers import Known
from emberline.scoring.sources import distinct
from emberline.sections.noise import ITEMS, SEGMENTS
from emberline.sections.recommend import SegmentsConfig


def counted(known: Known) -> Popular:
    """The items that may be listed, the most rated first."""
    if ITEMS not in known.tables:
        return completion.popular(known.listed("ratings"))
    table = _rows(known, ITEMS)
    return Popular.of(table["item"].to_numpy(), table["users"].to_numpy())


def popular(known: Known) -> Popular:
    """Those of them that enough users have rated."""
    return counted(known).of_at_least(known.min_users)


def in_segments(known: Known, config: SegmentsConfig) -> tuple[Members, pa.Table]:
    """Who is in which segment, and COUNTS of the items that may be listed."""
    said = known.tables["user_attributes"]
    table = said.map(("user", config.attribute), segments.members, MEMBERS).table()
    users, hashes = (column.to_numpy() for column in table.columns)
    if SEGMENTS[0] in known.tables:
        names = _used(known, config)
        members = Members.in_some(users, hashes, segments.hashes_of(names).view(np.int64))
        return members, _noisy(known, names)
    rated = distinct(known.tables["ratings"], "user")
    members = Members.of(users, hashes, rated, config.min_support)
    count = partial(segments.count, members=members)
    return members, known.listed("ratings").map(("item", "user"), count, COUNTS).table()


def _used(known: Known, config: SegmentsConfig) -> pa.Array:
    """The names of the segments that have lists of their own."""
    table = _rows(known, SEGMENTS[0]).sort_by("segment")
    used = segments.used(table["users"].to_numpy(), config.min_support)
    return table["segment"].combine_chunks().take(pa.array(used))


def _noisy(known: Known, names: pa.Array) -> pa.Table:
    table = _rows(known, SEGMENTS[1])
    numbers = pc.index_in(table["segment"], value_set=names)
    found = pa.table([numbers, table["item"], table["users"]], schema=COUNTS)
    return found.filter(numbers.is_valid())


def _rows(known: Known, name: str) -> pa.Table:
    """A table of counts, of items that may be listed."""
    schema = TABLES[name]
    source = known.listed(name) if "item" in schema.names else known.tables[name]
    return source.map(schema.names, unchanged, schema).table()
