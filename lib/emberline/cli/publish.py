"""`emberline publish`: the tables that are served, copied if every gate holds."""

from typing import Annotated, Literal

import typer

from emberline import logs
from emberline.cli.console import make_console
from emberline.cli.options import Day, PublishFile, Set, load
from emberline.cli.release import show_release
from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.publish import gates, releases
from emberline.sections.publish import PublishConfig

Source = Annotated[
    str | None, typer.Argument(metavar="ROOT", help="The pipeline's root, such as runs/demo.")
]
Folder = Annotated[
    str | None, typer.Option("--to", metavar="DIR", help="Where the serving system reads.")
]
Gates = Annotated[
    list[str] | None,
    typer.Option(
        "--gate",
        metavar="GATE",
        help="'ndcg@10 >= 0.9 * previous', 'rows.recommendations > 1000', ...",
    ),
]
Tables = Annotated[
    list[str] | None,
    typer.Option("--table", metavar="NAME", help="This table; else all that are served."),
]
Keep = Annotated[
    int | None, typer.Option(min=1, help="Releases to keep, the new one included (3).")
]
NewBaseline = Annotated[
    bool, typer.Option("--new-baseline", help="Compare with no previous release.")
]
DefaultGates = Annotated[
    bool | None,
    typer.Option(
        "--default-gates/--no-default-gates",
        help="Refuse a model that loses to a trivial answer (yes).",
    ),
]


Factors = Annotated[
    Literal["float32", "int8"] | None,
    typer.Option(help="Factors as they are, or in fewer bytes (float32)."),
]

IndexFrom = Annotated[
    int | None,
    typer.Option(min=1, help="Publish an index, too, of so many items or more (1,000,000)."),
]


def publish(
    root: Source = None,
    to: Folder = None,
    gate: Gates = None,
    table: Tables = None,
    pipeline: PublishFile = None,
    set_: Set = None,
    day: Day = None,
    keep: Keep = None,
    new_baseline: NewBaseline = False,
    default_gates: DefaultGates = None,
    factors: Factors = None,
    index_from: IndexFrom = None,
) -> None:
    """Copy the tables that a serving system reads, checked, in one step, and only if every gate
    holds. (To go back: emberline rollback.)
    """
    logs.configure("WARNING")
    config = load(pipeline, root, set_, day) if pipeline else None
    settings, source = (config.publish, config.root) if config else (PublishConfig(), root)
    folder = to or settings.to
    if source is None or folder is None or (set_ and not config):
        raise ConfigError(
            "give ROOT --to DIR to publish, or --config PIPELINE.toml with a publish.to, which has"
            " a root, too"
        )
    release, is_new = releases.publish(
        storage.locate(source),
        storage.locate(folder),
        table or settings.tables,
        [gates.parse(text) for text in gate or settings.gates],
        keep or settings.keep,
        new_baseline,
        settings.default_gates if default_gates is None else default_gates,
        factors or settings.factors,
        index_from or settings.index_from,
    )
    show_release(make_console(), release, is_new)
