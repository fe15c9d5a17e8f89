"""Items, or users, by the lists of outside ids that [recommend] names."""

import logging

import numpy as np

from emberline.flow.rows import Flow
from emberline.logs import event
from emberline.numeric.arrays import Int32
from emberline.raw import ids, rejects
from emberline.raw.attributes import read_attributes
from emberline.raw.shields import shield_of
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import ItemListConfig, RecommendConfig, UserListConfig

log = logging.getLogger(__name__)


def listed(
    run: StageRun[RecommendConfig],
    flow: Flow,
    setting: str,
    config: ItemListConfig | UserListConfig,
    before: ids.Known,
) -> Int32:
    """The known indices (n,), ascending, that the files of one setting list.

    Ids that nobody has are counted in the log and the stage's metrics. Raises DataError where a row
    cannot be read: it may name what must not be recommended.
    """
    files, wanted = run.inputs.files(config.path), {"id": config.column}
    guarded = (shield_of(run), before.side)
    rows = read_attributes(flow, files, config, wanted, config.rules(), guarded).kept()
    rejects.check_readable(rows, f"recommend.{setting}", config.path)
    coded = ids.coded_ids(rows, "id", "spelling")
    facts = ids.facts_of(coded)
    index = ids.indices_of(flow, coded, before, facts.codes)
    known = index[index >= 0]
    counts = {"ids": facts.ids, "unknown": facts.ids - len(known)}
    log.info(
        event(f"{before.side}s_listed", setting=f"recommend.{setting}", path=config.path, **counts)
    )
    run.outputs.measure(**{setting: counts})
    return np.sort(known)
