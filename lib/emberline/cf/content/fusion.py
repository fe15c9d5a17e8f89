"""How much a network's answer adds to what is said of items: one weight, by what it does to the
ranking of items that neither has learnt from, and the sum of both.

    f(x) = what is said(x) + weight (picture(x) - mean)

A sum of two answers, and not a kernel among the others: the network has seen the factors of the
items that it was trained on, so that likeness in its embeddings is flattered there, and a kernel of
it would count too much. An item without a picture is predicted by what is said of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import matrix_of
from emberline.cf.content.model import Pictures
from emberline.cf.content.selection import PERMUTATIONS, Judges, Proof
from emberline.cf.entries import places_in
from emberline.cf.facts import IDS_PER_BLOCK
from emberline.numeric.arrays import Bool, Float32, Int64

NAME = "picture"
_WEIGHTS = (0.1, 0.2, 0.4, 0.7, 1.2)
ANSWERS = pa.schema(
    [
        ("block", pa.int32()),
        ("item", pa.int32()),
        ("is_seen", pa.bool_()),
        ("factors", pa.list_(pa.float32())),
    ]
)

NAMED = pa.schema([*ANSWERS, ("model", pa.string())])  # null where it is the network's


@dataclass(frozen=True)
class Held:
    """Items (n) that neither has learnt from: factors by what is said of them (n, rank), those that
    a network predicts (n, rank) of the ones that have a picture (n,), and who judges.
    """

    said: Float32
    seen: Float32
    has_picture: Bool
    judges: Judges

    def area(self, pictures: Pictures, order: Int64) -> float:
        """With these pictures, each given to the item at its place of an order (n,)."""
        added = np.where(self.has_picture[order, None], pictures.added(self.seen[order]), 0)
        return self.judges.area(np.arange(len(self.said)), (self.said + added).astype(np.float32))


def weighed(held: Held, seed: int) -> tuple[Pictures | None, Proof]:
    """The pictures' best weight, if they prove themselves by it: ranking has to gain more than by
    the same pictures given to other items, with the best weight of each order, by two standard
    deviations.
    """
    mean = held.seen[held.has_picture].mean(axis=0)
    own = np.arange(len(held.said))
    before = held.area(Pictures(0.0, mean), own)

    def best(order: Int64) -> tuple[float, float]:
        areas = ((held.area(Pictures(weight, mean), order), weight) for weight in _WEIGHTS)
        area, weight = max(areas)
        return area - before, weight

    gain, weight = best(own)
    if gain <= 0:
        return None, Proof((NAME,), weight, gain, 0.0, False)
    rng = np.random.default_rng(seed)
    permuted = [best(rng.permutation(own))[0] for _ in range(PERMUTATIONS)]
    proof = Proof.beside((NAME,), weight, gain, permuted)
    return Pictures(weight, mean) if proof.is_used else None, proof


def as_answers(batches: Iterator[pa.RecordBatch], is_seen: bool) -> Iterator[pa.RecordBatch]:
    """Columns item and factors, perhaps with a model before them, to ANSWERS."""
    for batch in batches:
        items = batch["item"].to_numpy()
        of = [items // IDS_PER_BLOCK, items, np.full(len(items), is_seen), batch["factors"]]
        yield pa.record_batch(of, schema=ANSWERS)


def add(
    batches: Iterator[pa.RecordBatch],
    pictures: Pictures,
    whole: str,
    said: str,
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """ANSWERS, all of an item, to a model's name, item and factors: of every item that something is
    said of once by the model `whole`, and once by `said`, without its picture.
    """
    table = pa.Table.from_batches(list(batches), ANSWERS).sort_by("item")
    by_words, by_pictures = (
        table.filter(pa.array(table["is_seen"].to_numpy() == is_seen)) for is_seen in (False, True)
    )
    if not by_words.num_rows:
        return
    items, factors = by_words["item"].to_numpy(), _matrix(by_words)
    yield pa.record_batch([[said] * len(items), items, list(factors)], schema=schema)
    if by_pictures.num_rows:
        places = places_in(by_pictures["item"].to_numpy(), items)
        has_one = places >= 0
        factors = factors.copy()
        factors[has_one] += pictures.added(_matrix(by_pictures)[places[has_one]])
    yield pa.record_batch([[whole] * len(items), items, list(factors)], schema=schema)


def as_named(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns item and factors, and perhaps model, to NAMED."""
    for batch in batches:
        is_seen = "model" not in batch.schema.names
        (answers,) = as_answers(iter([batch]), is_seen)
        names = pa.nulls(batch.num_rows, pa.string()) if is_seen else batch["model"]
        yield pa.record_batch([*answers.columns, names], schema=NAMED)


def add_to_each(
    batches: Iterator[pa.RecordBatch], pictures: Pictures, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """NAMED, all of an item, to a model's name, item and factors, with what its picture adds."""
    table = pa.Table.from_batches(list(batches), NAMED).sort_by("item")
    said, seen = (
        table.filter(pa.array(table["is_seen"].to_numpy() == is_seen)) for is_seen in (False, True)
    )
    if not said.num_rows:
        return
    items, factors = said["item"].to_numpy(), _matrix(said).copy()
    if seen.num_rows:
        places = places_in(seen["item"].to_numpy(), items)
        has_one = places >= 0
        factors[has_one] += pictures.added(_matrix(seen)[places[has_one]])
    names = said["model"].combine_chunks()
    yield pa.record_batch([names, items, list(factors)], schema=schema)


def _matrix(table: pa.Table) -> Float32:
    return matrix_of(table["factors"].combine_chunks(), table.num_rows)
