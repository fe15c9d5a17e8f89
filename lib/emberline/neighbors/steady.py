"""The stage steady-neighbors: items' neighbours as they are published, which change from one run to
the next only where enough people have changed them (cf/steadiness.py).

`neighbor_history` is what the next run goes on from; it is not published. The pairs of all items'
lists are held in memory, as `explain` holds them.
"""

from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import steadiness
from emberline.cf.steadiness import ALWAYS, BY_USER, CHANGES, Pairs
from emberline.datasets.kept_back import TooFewUsers
from emberline.datasets.rows import unchanged
from emberline.datasets.schema import NEIGHBOR_HISTORY, TABLES
from emberline.flow import outputs
from emberline.flow.rows import Flow, Source
from emberline.numeric.arrays import Int64
from emberline.runs.stage_run import StageRun
from emberline.runs.tombstones import is_unfinished
from emberline.sections.privacy import PrivacyConfig

SHOWN, HISTORY = "steady_item_neighbors", "neighbor_history"


def run(run: StageRun[PrivacyConfig], flow: Flow) -> None:
    """Compare what is near now with what is shown, and write what is to be shown."""
    least = run.settings.min_changing_users
    assert least is not None  # else the stage is not in the pipeline
    near, events = run.stage.reads(run.config)
    found = _near(flow.read(run.inputs[near]))
    before = _before(run, flow)
    pairs = steadiness.joined(found, before)
    changes, newest = _changes(flow, flow.read(run.inputs[events]), pairs)
    top_k = int(run.inputs.produced_by(near).config.get("top_k", 0)) or len(pairs.items)
    # what nobody has seen before cannot be compared with anything
    shown = steadiness.settled(pairs, changes, least if len(before.items) else 0, top_k, newest)
    _write(run, steadiness.begun(shown, newest))
    wanted, changed = (_differing(pairs, each) for each in (pairs.now, shown.shown))
    run.outputs.finish(SHOWN, TooFewUsers(least, wanted, max(wanted - changed, 0)))


def _differing(pairs: Pairs, now: np.ndarray) -> int:
    """How many pairs would be shown otherwise than they are."""
    same = (pairs.shown == now) | (np.isnan(pairs.shown) & np.isnan(now))
    return int((~same).sum())


def _near(neighbors: Source) -> Pairs:
    table = neighbors.map(TABLES[SHOWN].names, unchanged, TABLES[SHOWN]).table()
    order = pc.sort_indices(table, [("item", "ascending"), ("neighbor", "ascending")])
    items, others, similarities = (column.to_numpy() for column in table.take(order).columns)
    nothing = np.full(len(items), np.nan, np.float32)
    return Pairs(items, others, similarities, nothing, np.full(len(items), ALWAYS))


def _before(run: StageRun[PrivacyConfig], flow: Flow) -> Pairs:
    """What the last run has left; nothing where there was none, or people are being forgotten, from
    whom it was learnt.
    """
    previous = None if is_unfinished(run.outputs.root) else run.outputs.previous(HISTORY)
    table = NEIGHBOR_HISTORY.empty_table()
    if previous is not None:
        names = NEIGHBOR_HISTORY.names
        table = flow.read(previous).map(names, unchanged, NEIGHBOR_HISTORY).table()
        table = table.sort_by([("item", "ascending"), ("neighbor", "ascending")])
    shown = table["similarity"].cast(pa.float32()).fill_null(np.nan).to_numpy()
    items, others = (table[name].to_numpy() for name in ("item", "neighbor"))
    nothing = np.full(len(items), np.nan, np.float32)
    return Pairs(items, others, nothing, shown, table["since"].cast(pa.int64()).to_numpy())


def _changes(flow: Flow, events: Source, pairs: Pairs) -> tuple[Int64, int]:
    """How many users have changed each pair (n,), and the time of the newest event."""
    shared = flow.share(pairs)
    rows = events.map(
        ("user", "item", "timestamp"), partial(steadiness.by_user, blocks=flow.parts), BY_USER
    ).together(flow.parts)
    table = rows.map(partial(steadiness.changes_of, pairs=shared), CHANGES).table()
    places, users = (column.to_numpy() for column in table.columns)
    counts = np.bincount(places, users, minlength=len(pairs.items)).astype(np.int64)
    newest = pc.max(rows.select({"time": "time"}).table()["time"]).as_py()
    shared.destroy()
    return counts, ALWAYS + 1 if newest is None else newest


def _write(run: StageRun[PrivacyConfig], pairs: Pairs) -> None:
    is_shown = ~np.isnan(pairs.shown)
    columns = [pairs.items[is_shown], pairs.neighbors[is_shown], pairs.shown[is_shown]]
    outputs.write_here(pa.table(columns, schema=TABLES[SHOWN]), run, SHOWN)
    kept = pairs.since > ALWAYS
    similarities = pa.array(pairs.shown[kept], pa.float32(), from_pandas=True)
    since = pa.array(pairs.since[kept]).cast(NEIGHBOR_HISTORY.field("since").type)
    columns = [pairs.items[kept], pairs.neighbors[kept], similarities, since]
    outputs.write_here(pa.table(columns, schema=NEIGHBOR_HISTORY), run, HISTORY)
