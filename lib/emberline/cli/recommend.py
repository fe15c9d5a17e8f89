"""`emberline recommend`: a user's list."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from emberline.cli.console import make_console, make_table, printable, say
from emberline.cli.options import KeyFile, RootOrRelease
from emberline.datasets import storage
from emberline.publish import releases
from emberline.serving import lookup, pseudonyms
from emberline.serving.because import because
from emberline.serving.lookup import Recommendation


def recommend(
    root: RootOrRelease,
    user: Annotated[str, typer.Option(metavar="ID", help="The user's id, as in the input.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 10,
    why: Annotated[bool, typer.Option("--why", help="Say why each is there.")] = False,
    key_file: KeyFile = None,
) -> None:
    """Print a user's recommendations, from a root or from where they were published; for one
    unknown, what is popular.
    """
    place = releases.current_root(storage.locate(root))
    inside = pseudonyms.inside_id(place, "user", user, key_file)
    best = lookup.recommendations_of(place, inside, k, why)
    show_recommendations(make_console(), user, best, lookup.is_known(place, inside), why)


def _plain(text: str) -> str:
    return printable(text).plain


def show_recommendations(
    console: Console,
    user_id: str,
    best: Sequence[Recommendation],
    is_known: bool = True,
    why: bool = False,
) -> None:
    """A user's list, perhaps with reasons; or what is popular, said to be that."""
    if not is_known:
        say(console, f"User {printable(user_id)} is unknown here. This is what is popular:")
    table = make_table(
        ">rank",
        "item",
        "title",
        ">score",
        "model",
        *(["why"] if why else []),
        title=Text("for user ").append(printable(user_id)),
    )
    for row in best:
        table.add_row(
            str(row.rank),
            printable(row.item_id),
            printable(row.title or ""),
            f"{row.score:.4f}",
            printable(row.model),
            *([because(row.reasons, row.model, _plain)] if why else []),
        )
    console.print(table)
