"""Published factors that a fit begins from: this root's of the last run, or another root's."""

import json
import logging
from functools import partial

from emberline.cf.als import renaming, starts
from emberline.cf.als.packing import SIDES
from emberline.cf.entries import PIECES
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import unchanged
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.factors.purposes import Purpose
from emberline.factors.training import Row
from emberline.flow.rows import Flow, Rows
from emberline.logs import event
from emberline.runs.stage_run import StageRun
from emberline.runs.tombstones import is_unfinished
from emberline.sections.als import AlsConfig

log = logging.getLogger(__name__)
_IDS_PER_BLOCK = 1 << 20


def earlier_factors(
    run: StageRun[AlsConfig], flow: Flow, purpose: Purpose
) -> dict[str, Rows] | None:
    """EARLIER factors to begin from, in this root's indices; None where the config names none, or
    "previous" has none that fit.

    Raises ConfigError where another root's do not fit, or none do that are to be kept as they are.
    """
    config = run.settings
    if config.start_from is None:
        return None
    if config.iterations and is_unfinished(run.outputs.root):
        log.info(event("als_starts_cold", because="people are being forgotten"))
        return None
    if config.start_from == "previous":
        found = {side: run.outputs.previous(table) for side, table in purpose.tables.items()}
        reason = _why_not(purpose, list(found.values()))
        if reason and not config.iterations:
            raise ConfigError(
                f"als.iterations = 0 keeps the items' earlier factors, but {reason}; train once"
                " with iterations"
            )
        if reason:
            log.info(event("als_starts_cold", because=reason))
            return None
        return {side: published(flow, side, dataset) for side, dataset in found.items() if dataset}
    root = storage.locate(config.start_from)
    return {side: _of_other_root(run, flow, root, side, purpose) for side in SIDES}


def _why_not(purpose: Purpose, datasets: list[Dataset | None]) -> str | None:
    """Why earlier factors cannot be begun from."""
    known = [dataset.manifest.produced_by for dataset in datasets if dataset]
    if len(known) < len(datasets):
        return "there is no earlier run"
    if len({producer.run_id for producer in known}) > 1:
        return "the earlier factors are of two runs"
    wanted, had = _shape(purpose, purpose.config.what()), _shape(purpose, known[0].config)
    return None if had == wanted else f"they have {_said(had)}, wanted are {_said(wanted)}"


def _shape(purpose: Purpose, settings: Row) -> Row:
    """Of [als], what decides how published factors look."""
    if purpose.implicit:
        return {"rank": settings.get("rank")}
    ratings = settings.get("ratings", {})
    return {f"ratings.{key}": ratings.get(key) for key in ("rank", "biases")}


def _said(settings: Row) -> str:
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())


def published(flow: Flow, side: str, factors: Dataset) -> Rows:
    """EARLIER of a dataset of factors."""
    return flow.read(factors).map((side, "factors"), unchanged, starts.EARLIER)


def _of_other_root(
    run: StageRun[AlsConfig], flow: Flow, root: Location, side: str, purpose: Purpose
) -> Rows:
    """EARLIER of another root, by our indices: an id has another index there."""
    table = purpose.tables[side]
    theirs = {name: manifests.load(root, name) for name in (table, f"{side}s")}
    ours = run.outputs.previous(f"{side}s")
    reason = _why_not(purpose, [theirs[table]])
    if reason or ours is None:
        raise ConfigError(
            f"als.start_from: {root} does not fit: {reason or 'this root has no ids'}; train it"
            " anew, or remove start_from"
        )
    run.outputs.continued[f"{root}/{table}"] = theirs[table].manifest.identity()
    return _renamed(flow, side, theirs[table], theirs[f"{side}s"], ours)


def _renamed(flow: Flow, side: str, factors: Dataset, theirs: Dataset, ours: Dataset) -> Rows:
    """Factors by the index that `ours` has for the id that `theirs` has for their index."""
    blocks = max(flow.cores, -(-theirs.rows // _IDS_PER_BLOCK))

    def names(dataset: Dataset, kind: str) -> Rows:
        task = partial(renaming.scatter_names, num_blocks=blocks, kind=kind)
        return flow.read(dataset).map((side, f"{side}_id"), task, renaming.NAMES)

    both = names(ours, renaming.OURS).union(names(theirs, renaming.THEIRS)).together(blocks)
    pairs = both.map(partial(renaming.match_names, num_blocks=blocks), PIECES)
    task = partial(starts.scatter_published, num_blocks=blocks)
    pieces = flow.read(factors).map((side, "factors"), task, PIECES)
    return pairs.union(pieces).together(blocks).map(renaming.rename, starts.EARLIER)
