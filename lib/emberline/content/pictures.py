"""What a network predicts from pictures, beside what is said of items: weighed on items that the
network has not learnt from, and added to all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import matrix_of
from emberline.cf.content import fusion, regression, tasks
from emberline.cf.content.fusion import ANSWERS, Held
from emberline.cf.content.model import Nystrom, Pictures
from emberline.cf.content.tasks import KNOWN
from emberline.cf.entries import places_in
from emberline.cf.ridge import Moments
from emberline.content.calibrating import New
from emberline.content.gathering import drawn
from emberline.content.learning import judges_of
from emberline.datasets.rows import among, only
from emberline.datasets.schema import TABLES
from emberline.flow.rows import Flow, Rows, Source
from emberline.models import ALS, CNN, CONTENT, WORDS
from emberline.numeric.arrays import Float32, Int32
from emberline.scoring.sources import Chosen
from emberline.sections.content import ContentConfig

PREDICTED, SHARDS = CNN.new_items[0], "shards_all"
_LEAST = 50  # items that the network has not learnt from, to weigh its answers by
_FACTORS = pa.schema([("item", pa.int32()), ("factors", pa.list_(pa.float32()))])
_IDS = pa.schema([("item", pa.int32())])


@dataclass(frozen=True)
class Unlearnt:
    """Items (n,), ascending, that the network has not learnt from, and what they are held to."""

    items: Int32
    held: Held

    def as_new(self, pictures: Pictures, centre: Float32) -> New:
        """All of them, with what pictures add to what is said."""
        held = self.held
        added = np.where(held.has_picture[:, None], pictures.added(held.seen), 0)
        predicted = (held.said + added).astype(np.float32)
        return New(self.items, predicted, np.zeros(len(self.items), np.int64), centre)


def unlearnt(
    tables: Mapping[str, Source],
    known: Rows,
    fit: Nystrom,
    moments: Moments,
    penalty: float,
    config: ContentConfig,
) -> Unlearnt | None:
    """What pictures are weighed by; None where too few items were left out of the network's
    training to say.
    """
    split = partial(only, value="val")
    validated = tables[SHARDS].map(("item", "split"), split, _IDS).table()["item"].to_numpy()
    some = known.map(partial(among, place=0, ids=validated), KNOWN)
    rows = drawn(some, config.sample, 1, config.seed)
    ids: Int32 = rows["id"].to_numpy()
    predicted = _predicted(Chosen(tables[PREDICTED], "item", ids)).table().sort_by("item")
    if predicted.num_rows < _LEAST:
        return None
    left = regression.solve(moments.less(tasks.moments(rows, fit)), penalty)
    places = places_in(predicted["item"].to_numpy(), ids)
    seen = matrix_of(predicted["factors"].combine_chunks(), predicted.num_rows)[places]
    users, ratings = tables[ALS.lists[0]], tables["ratings"]
    judges = judges_of("item", ids, users, ratings, config.seed)
    return Unlearnt(ids, Held(fit.fitted(left).predict(rows), seen, places >= 0, judges))


def added(flow: Flow, said: Rows, predicted: Source, pictures: Pictures) -> Rows:
    """To what is predicted by what is said of items, and once more without."""
    by_words = said.map(partial(fusion.as_answers, is_seen=False), ANSWERS)
    by_pictures = _predicted(predicted).map(partial(fusion.as_answers, is_seen=True), ANSWERS)
    schema = TABLES[CONTENT.new_items[0]]
    task = partial(
        fusion.add, pictures=pictures, whole=CONTENT.name, said=WORDS.name, schema=schema
    )
    return by_words.union(by_pictures).together(flow.parts).map(task, schema)


def _predicted(source: Source) -> Rows:
    """Columns item and factors of what the network predicts."""
    return source.map(("item", "factors", "model"), partial(only, value=CNN.name), _FACTORS)
