"""What is known of items, a row of each fact, brought together by item: what is said or seen of
them, their factors, and how often they were rated.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from emberline.cf.entries import places_in

IDS_PER_BLOCK = 4096
_ROWS = 4096  # of a batch
_FACTS = [("factors", pa.list_(pa.float32())), ("ratings", pa.int64())]
_OF_TABLES = {name for name, _ in _FACTS}


def facts_schema(said: pa.Schema) -> pa.Schema:
    """A row of each fact: `said` columns of what is said or seen of an id (`is_said`), its factors,
    or how often it was rated.
    """
    return pa.schema(
        [("block", pa.int32()), ("id", pa.int32()), ("is_said", pa.bool_()), *said, *_FACTS]
    )


def known_schema(said: pa.Schema) -> pa.Schema:
    """All of them of an id that something is said of; factors are null where it has none."""
    return pa.schema([("id", pa.int32()), *said, *_FACTS])


def as_facts(
    batches: Iterator[pa.RecordBatch], names: tuple[str, ...], said: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Columns id and those of some names to `facts_schema`, empty otherwise."""
    schema = facts_schema(said)
    for batch in batches:
        ids = batch.column(0)
        given = {
            "block": ids.to_numpy() // IDS_PER_BLOCK,
            "id": ids,
            "is_said": np.full(len(ids), not _OF_TABLES.issuperset(names)),
            **dict(zip(names, batch.columns[1:], strict=True)),
        }
        columns = [given.get(field.name, pa.nulls(len(ids), field.type)) for field in schema]
        yield pa.record_batch(columns, schema=schema)


def gather(batches: Iterator[pa.RecordBatch], said: pa.Schema) -> Iterator[pa.RecordBatch]:
    """`facts_schema`, all of an id, to `known_schema`, in the order of ids, some thousands at a
    time.
    """
    table = pa.Table.from_batches(list(batches), facts_schema(said)).combine_chunks()
    found = table.filter(table["is_said"]).sort_by("id")
    ids = found["id"].to_numpy()
    factors, counts = (table.filter(table[name].is_valid()) for name in ("factors", "ratings"))
    factors = factors.sort_by("id")
    places = places_in(factors["id"].to_numpy(), ids)
    own = factors["factors"].combine_chunks().take(pa.array(places, mask=places < 0))
    at = places_in(ids, counts["id"].to_numpy())
    known = at >= 0
    ratings = np.bincount(at[known], counts["ratings"].to_numpy()[known], len(ids))
    given = {name: found[name] for name in found.column_names}
    given |= {"factors": own, "ratings": pa.array(ratings.astype(np.int64))}
    schema = known_schema(said)
    whole = pa.table([given[field.name] for field in schema], schema=schema)
    yield from whole.to_batches(max_chunksize=_ROWS)
