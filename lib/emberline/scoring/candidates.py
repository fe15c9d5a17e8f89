"""Which items may be recommended, by the lists of outside ids that the pipeline names."""

import logging

import numpy as np
import pyarrow as pa

from emberline.datasets.rows import unchanged
from emberline.errors import EmptyDatasetError
from emberline.flow.rows import Flow
from emberline.logs import event
from emberline.numeric.arrays import Int32
from emberline.raw import ids, rejects
from emberline.raw.attributes import read_attributes
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import ItemListConfig, RecommendConfig

log = logging.getLogger(__name__)
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
        found = _listed(run, flow, "candidates", config.candidates, before)
    else:
        tables = [
            flow.read(dataset).map(("item",), unchanged, _ITEM).table()
            for dataset in before.datasets
        ]
        found = np.unique(np.concatenate([table["item"].to_numpy() for table in tables]))
    if config.exclude:
        found = np.setdiff1d(found, _listed(run, flow, "exclude", config.exclude, before))
    if not len(found):
        raise EmptyDatasetError(
            f"no item may be recommended: {_places(config)} leave none of the"
            f" {run.inputs['items'].rows:,} items; compare their ids with those that emberline show"
            " prints of the dataset items"
        )
    return found


def _listed(
    run: StageRun[RecommendConfig],
    flow: Flow,
    setting: str,
    config: ItemListConfig,
    before: ids.Known,
) -> Int32:
    """The known items (n,), ascending, that the files of one setting list.

    Raises DataError where a row cannot be read: it may name an item that must not be recommended.
    """
    files, wanted = run.inputs.files(config.path), {"id": config.item_id}
    rows = read_attributes(flow, files, config, wanted, config.rules()).kept()
    rejects.check_readable(rows, f"recommend.{setting}", config.path)
    coded = ids.coded_ids(rows, "id", "spelling")
    facts = ids.facts_of(coded)
    index = ids.indices_of(flow, coded, before, facts.codes)
    known = index[index >= 0]
    counts = {"ids": facts.ids, "unknown": facts.ids - len(known)}
    log.info(event("items_listed", setting=f"recommend.{setting}", path=config.path, **counts))
    run.outputs.measure(**{setting: counts})
    return np.sort(known)


def _places(config: RecommendConfig) -> str:
    named = {"candidates": config.candidates, "exclude": config.exclude}
    return " and ".join(
        f"recommend.{setting} ({items.path})" for setting, items in named.items() if items
    )
