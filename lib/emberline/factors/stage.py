"""The stage train-als: factors of users and items by alternating least squares, on blocks of
ratings.

NumPy solves blocks (`cf/als/`, whose `objective.py` says what is minimised); a flow, on this
machine's cores or on Spark's, keeps them, moves factors to them, and repeats what is lost. An
iteration solves the items from the users, then the users from the items. The last half-step solves
the users exactly, so that each user's factors are the least-squares answer to the items'.

Where both lists and predicted ratings are wanted, there are two fits, of implicit and of explicit
feedback, on the same blocks.
"""

from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import AlsTraining, merged
from emberline.factors.checkpoint import Checkpoint
from emberline.factors.earlier import earlier_factors
from emberline.factors.fit import Model, fit_blocks, prepare
from emberline.factors.purposes import Purpose, purposes
from emberline.flow import outputs
from emberline.flow.rows import Flow
from emberline.runs.stage_run import StageRun
from emberline.sections.als import AlsConfig


def run(run: StageRun[AlsConfig], flow: Flow) -> None:
    """Fit and write both sides' factors, of each purpose."""
    is_of_ratings = has_ratings(run.inputs["ratings"])
    wanted = purposes(run.settings, is_of_ratings, run.stage.writes(run.config))
    width = max(purpose.objective.width(purpose.config.rank) for purpose in wanted)
    checkpoints = {
        purpose.work: Checkpoint(run.outputs.work / purpose.work, run.settings.exchange)
        for purpose in wanted
    }
    cut = prepare(
        flow,
        flow.read(run.inputs["ratings"]),
        flow.read(run.inputs["validation"]) if "validation" in run.inputs else None,
        run.settings,
        width,
        list(checkpoints.values()),
        run.outputs.scratch,
    )
    for purpose in wanted:
        earlier = earlier_factors(run, flow, purpose)
        scratch = run.outputs.scratch / purpose.work
        model = fit_blocks(
            cut,
            purpose.config,
            purpose.implicit,
            checkpoints[purpose.work],
            scratch,
            earlier,
            run.control.progress,
        )
        _write(run, purpose, model)
        model.exchange.close()
    cut.packed.rows.free()


def _write(run: StageRun[AlsConfig], purpose: Purpose, model: Model) -> None:
    training = AlsTraining(model.history, **model.final, best_iteration=model.best or None)
    fitted = model.facts()
    for side, table in purpose.tables.items():
        rows, seed = model.factors(side), purpose.config.seed
        outputs.write(rows, run, table, training, *fitted, rank=model.rank, seed=seed)
    facts = merged((training, *fitted))
    run.outputs.measure(**(facts if purpose.implicit else {"ratings": facts}))
