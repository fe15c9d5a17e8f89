"""What is said or seen of items, or users, brought beside their factors and their numbers of
ratings.
"""

from functools import partial

import pyarrow as pa

from emberline.cf import facts, listing
from emberline.cf.listing import COUNTS
from emberline.flow.rows import Flow, Rows, Source


def beside_factors(
    flow: Flow,
    seen: Rows,
    factors: Source,
    ratings: Source,
    said: pa.Schema,
    side: str = "item",
) -> Rows:
    """facts.known_schema of the items, or users, of `seen`, which is facts.facts_schema."""
    schema = facts.facts_schema(said)
    of_factors = partial(facts.as_facts, names=("factors",), said=said)
    of_counts = partial(facts.as_facts, names=("ratings",), said=said)
    counts = ratings.map((side,), listing.count_items, COUNTS).map(of_counts, schema)
    rows = seen.union(factors.map((side, "factors"), of_factors, schema)).union(counts)
    gather = partial(facts.gather, said=said)
    return rows.together(flow.parts).map(gather, facts.known_schema(said))
