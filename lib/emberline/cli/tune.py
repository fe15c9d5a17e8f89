"""`emberline tune`: settings tried by what models are chosen by, and the best of them measured."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from emberline import extras, pipelines
from emberline.cli.console import COLOURS, make_console, make_table, printable, say, tell
from emberline.cli.noted import noted
from emberline.cli.options import File, of_a_file
from emberline.cli.progress import Progress
from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.launch.stop import Stop
from emberline.tracking.notes import Notes
from emberline.tuning import design as designs
from emberline.tuning import space as spaces
from emberline.tuning.design import Design, Options
from emberline.tuning.outcome import PAGE, WINNER, Outcome, shown
from emberline.tuning.trial import Trial

SpaceFile = Annotated[
    Path | None,
    typer.Option(
        "--space",
        metavar="SPACE.toml",
        readable=False,
        help="What is varied; without it, what --show-space prints.",
    ),
]
Metric = Annotated[
    str | None, typer.Option(help="What is compared: ndcg@10, rmse, auc, accuracy, ...")
]
Model = Annotated[str | None, typer.Option(help="Whose metric it is, where several have it.")]
Trials = Annotated[int, typer.Option(min=1, help="How many settings are tried, the file's first.")]
Parallel = Annotated[int, typer.Option(min=1, help="How many are tried at the same time.")]
Seed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="The seed of what is tried.")]
Folder = Annotated[
    str | None, typer.Option("--study", metavar="DIR", help="The study's folder; ROOT-study.")
]
Show = Annotated[
    bool, typer.Option("--show-space", help="Print what would be varied, as a file, and end.")
]
Halving = Annotated[
    bool,
    typer.Option(help="Whether what is bad after a third of the iterations or epochs ends there."),
]


@of_a_file
def tune(
    file: File,
    context: typer.Context,
    space: SpaceFile = None,
    metric: Metric = None,
    model: Model = None,
    trials: Trials = 30,
    parallel: Parallel = 1,
    seed: Seed = 1,
    study: Folder = None,
    halving: Halving = True,
    show_space: Show = False,
) -> None:
    """Try settings, and measure the best of them beside the file's own."""
    content = file.content()
    options = Options(metric, model, space, seed, parallel, halving)
    design = designs.design(content, file.name, options)
    if show_space:
        for line in spaces.shown(design.header.space):
            tell(line)
        return
    _run(design, content, study or f"{content['root']}-study", trials, context.obj)


def _run(
    design: Design, content: dict[str, Any], folder: str, trials: int, stop: Stop | None
) -> None:
    """Tune, and tell what was found. Raises ConfigError without Optuna."""
    if not extras.TUNE.is_here():
        raise ConfigError(f"tune needs Optuna, which is not installed: {extras.TUNE.remedy}")
    from emberline.tuning import tune as studies  # which imports Optuna

    console = make_console()
    say(console, f"Trials are measured by {design.measured_by}.")
    progress = Progress(console)
    bench = studies.Bench(storage.locate(folder), content, progress, stop)
    config = pipelines.config_of(dict(content), design.header.pipeline)
    with noted(config, bench.folder.name, console) as notes:
        try:
            found = studies.tune(design, bench, trials, _Lines(console, design, notes))
        finally:
            progress.stop()
        notes.note(found.parameters, {f"holdout/{found.metric}": found.best.holdout}, {})
    _show(console, design, found)
    say(console, f"Study: {bench.folder / PAGE}")
    say(console, f"Winner: emberline run {bench.folder / WINNER}")


class _Lines:
    """A line, and a note, for each trial that has ended."""

    def __init__(self, console: Console, design: Design, notes: Notes) -> None:
        self._console, self._metric, self._notes = console, design.header.metric, notes

    def ended(self, trial: Trial, of: int) -> None:
        value = trial.state if trial.value is None else f"{trial.value:.4f}"
        if trial.state == "halted":
            last = trial.rungs[-1]
            value = f"{last.value:.4f} at {last.budget}, halted"
        said = ", ".join(f"{name} = {shown(each)}" for name, each in trial.parameters.items())
        told = trial.error or ("the defaults: " if trial.number == 0 else "") + said
        say(
            self._console,
            f"[{trial.number + 1}/{of}] {self._metric} {value}  {trial.seconds:.1f} s  {told}",
        )
        reached = {} if trial.value is None else {self._metric: trial.value}
        steps = {f"at {rung.budget}/{self._metric}": rung.value for rung in trial.rungs}
        name, failed = f"trial {trial.number}", trial.state == "failed"
        self._notes.note_below(name, trial.parameters, reached | steps, failed)


def _show(console: Console, design: Design, found: Outcome) -> None:
    table = make_table(
        f"{found.metric} of {found.model}", ">validation", ">holdout", ">gap", "settings"
    )
    rows = {
        "defaults": (found.defaults, design.defaults),
        f"trial {found.winner}": (found.best, found.parameters),
    }
    for name, (figure, parameters) in rows.items():
        said = ", ".join(f"{key} = {shown(value)}" for key, value in parameters.items())
        error = f" ±{figure.holdout_error:.4f}" if figure.holdout_error is not None else ""
        table.add_row(
            name,
            f"{figure.validation:.4f}",
            f"{figure.holdout:.4f}{error}",
            f"{figure.gap:+.4f}",
            printable(said),
        )
    console.print(table)
    if found.importances:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importances.items())
        say(console, f"What the best have in common: {shares}")
    say(console, found.sentence, COLOURS["ok" if found.is_better else "warning"])
    if found.advice:
        say(console, found.advice, COLOURS["warning"])
