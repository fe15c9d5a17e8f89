"""Which items may be recommended, by the lists of outside ids that the pipeline names."""

import numpy as np
import pyarrow as pa

from emberline.datasets.rows import unchanged
from emberline.errors import EmptyDatasetError
from emberline.flow.rows import Flow
from emberline.numeric.arrays import Int32
from emberline.raw import ids
from emberline.runs.stage_run import StageRun
from emberline.scoring.listed import listed
from emberline.sections.recommend import RecommendConfig

_ITEM = pa.schema([("item", pa.int32())])


def allowed(run: StageRun[RecommendConfig], flow: Flow) -> Int32 | None:
    """The items (n,), ascending, that the pipeline's lists leave: the candidates, or else all
    items, without the excluded ones; None where it names no list.

    Ids that no item has are counted in the log and the stage's metrics. Raises EmptyDatasetError
    where no item is left.
    """
    config = run.settings
    if not config.limits_items:
        return None
    before = ids.known(run, "item")
    if config.candidates:
        found = listed(run, flow, "candidates", config.candidates, before)
    else:
        tables = [
            flow.read(dataset).map(("item",), unchanged, _ITEM).table()
            for dataset in before.datasets
        ]
        found = np.unique(np.concatenate([table["item"].to_numpy() for table in tables]))
    if config.exclude:
        found = np.setdiff1d(found, listed(run, flow, "exclude", config.exclude, before))
    if not len(found):
        raise EmptyDatasetError(
            f"no item may be recommended: {_places(config)} leave none of the"
            f" {run.inputs['items'].rows:,} items; compare their ids with those that emberline show"
            " prints of the dataset items"
        )
    return found


def offered(items: Int32) -> pa.Table:
    """RECOMMENDABLE_ITEMS of what is allowed (n,)."""
    return pa.table([items], names=["item"])


def _places(config: RecommendConfig) -> str:
    named = {"candidates": config.candidates, "exclude": config.exclude}
    return " and ".join(
        f"recommend.{setting} ({items.path})" for setting, items in named.items() if items
    )
