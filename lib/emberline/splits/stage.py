"""The stage split-ratings: interactions become those that models are trained on, those that they
are chosen by, and those that they are measured by.

    kept = ratings + validation + holdout + aside

Where models are measured by what they are chosen by, validation is a part of the holdout.
"""

from functools import partial

import pyarrow.compute as pc

from emberline.datasets import sets, withholding
from emberline.datasets.cleaned import cleaning_of
from emberline.datasets.facts import Accounts, Cleaned, Holdout
from emberline.datasets.info import Facts
from emberline.datasets.sets import ASIDE, COUNTED
from emberline.datasets.sketch import Sketch
from emberline.datasets.sketching import BINNED, sketch_of
from emberline.datasets.withholding import HOLDOUT, SETS, VALIDATION
from emberline.errors import DataError, EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow
from emberline.runs.stage_run import StageRun
from emberline.sections.split import SplitConfig
from emberline.splits import given
from emberline.splits.marking import Log, Marked, marked


def run(run: StageRun[SplitConfig], flow: Flow) -> None:
    """Mark, check, write and count."""
    config = run.settings
    names = ("interactions", "users", "items")
    log = Log(*(flow.read(run.inputs[name]) for name in names))
    pairs, listed = given.pairs_of(run, flow) if config.reads_pairs else (None, {})
    found = marked(flow, log, config, pairs)
    if listed:
        given.check_known(run, listed, found.rows)
    if config.pairs is not None and config.pairs.cold:
        given.check_cold_items(run, found.rows)
    for name in SETS:
        facts: list[Facts] = [Cleaned(cleaning_of(run.inputs["interactions"]))]
        if name == HOLDOUT:
            facts.append(Holdout(config.protocol(), _sketch(found, config)))
        outputs.write(found.of_set(name), run, name, *facts, seed=config.seed)
    aside = _aside(found, config)
    found.rows.free()
    _account(run, aside)


def _sketch(found: Marked, config: SplitConfig) -> Sketch:
    """Of all interactions, their values, and which are withheld."""
    marks = ("held", "cold", *(("chosen",) if config.validates else ()))
    return sketch_of(found.rows.map(partial(withholding.sketched, marks=marks), BINNED).table())


def _aside(found: Marked, config: SplitConfig) -> int:
    """How many interactions are in no set."""
    if config.measure_by == HOLDOUT and config.skip_days is None:
        return 0
    counts = found.of_set(ASIDE).map(sets.count_rows, COUNTED).table()
    return pc.sum(counts["rows"]).as_py() or 0


def _account(run: StageRun[SplitConfig], aside: int) -> None:
    """Compare what was read with what was written or set aside. Raises DataError where an
    interaction is missing or twice there, EmptyDatasetError where none is left to train on.
    """
    kept = run.inputs["interactions"].rows
    accounts = {"kept": kept, **{name: run.outputs.rows(name) for name in SETS}}
    if run.settings.measure_by == VALIDATION:
        accounts[VALIDATION] = 0  # they are in the holdout, too
    accounts |= {ASIDE: aside} if aside else {}
    if kept != sum(accounts.values()) - kept:
        raise DataError(
            f"the interactions do not add up: {accounts}; run prepare-ratings and split-ratings"
            " again, with --force"
        )
    if accounts["ratings"] == 0:
        raise EmptyDatasetError(
            f"of {kept:,} interactions none is left to train on ({accounts[HOLDOUT]:,} are held"
            f" out, {accounts[VALIDATION]:,} are for validation); withhold less in [split]"
        )
    run.outputs.measure(split=accounts)
    run.outputs.finish("ratings", Accounts(accounts))
