"""`emberline recommend`: a user's list, or one for somebody of whom some items are known."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from emberline.cli.console import make_console, make_table, printable, say
from emberline.cli.options import KeyFile, RootOrRelease
from emberline.datasets import released, storage
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, NotServedError
from emberline.serving import lookup, pseudonyms
from emberline.serving.because import because
from emberline.serving.lookup import Recommendation
from emberline.serving.recommender import Recommender

User = Annotated[str | None, typer.Option(metavar="ID", help="The user's id, as in the input.")]
Items = Annotated[
    list[str] | None,
    typer.Option(metavar="ID[,ID...]", help="Instead: what somebody new has chosen."),
]


def recommend(
    root: RootOrRelease,
    user: User = None,
    items: Items = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 10,
    why: Annotated[bool, typer.Option("--why", help="Say why each is there.")] = False,
    key_file: KeyFile = None,
) -> None:
    """Print a user's recommendations, from a root or from where they were published; for one
    unknown, what is popular. With --items, those of somebody who has chosen these and nothing else.
    """
    if (user is None) == (items is None):
        raise ConfigError("give either --user or --items")
    if items is not None:
        _for_somebody_new(root, items, k, why, key_file)
        return
    place = released.current_root(storage.locate(root))
    _for_user(place, str(user), k, why, key_file)


def _for_user(place: Location, user: str, k: int, why: bool, key_file: str | None) -> None:
    console = make_console()
    inside = pseudonyms.inside_id(place, "user", user, key_file)
    best = lookup.recommendations_of(place, inside, k, why)
    if not lookup.is_known(place, inside):
        say(console, f"User {printable(user)} is unknown here. This is what is popular:")
    show_recommendations(console, f"user {user}", best, why)


def _for_somebody_new(
    root: str, given: Sequence[str], k: int, why: bool, key_file: str | None
) -> None:
    """Raises NotServedError where no item is known."""
    console, place = make_console(), released.current_root(storage.locate(root))
    recommender = Recommender.open(root, follow=None)
    inside = partial(pseudonyms.inside_id, place, "item", key_file=key_file)
    items = [
        item
        for each in given
        for item in _split(each, lambda text: recommender.knows_item(inside(text)))
    ]
    unknown = [item for item in items if not recommender.knows_item(inside(item))]
    if len(unknown) == len(items):
        raise NotServedError(f"{root} has none of these items: {', '.join(unknown)}")
    if unknown:
        say(console, f"Not known here, and left out: {', '.join(unknown)}")
    best = recommender.fold_in([inside(item) for item in items], k, why)
    show_recommendations(console, "somebody who has chosen these", best, why)


def _split(given: str, is_known: Callable[[str], bool]) -> list[str]:
    """Ids with commas between them, but for one that has commas itself."""
    return [given] if is_known(given) else [part.strip() for part in given.split(",")]


def _plain(text: str) -> str:
    return printable(text).plain


def show_recommendations(
    console: Console, whose: str, best: Sequence[Recommendation], why: bool = False
) -> None:
    """A list, perhaps with reasons."""
    table = make_table(
        ">rank",
        "item",
        "title",
        ">score",
        "model",
        *(["why"] if why else []),
        title=Text("for ").append(printable(whose)),
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
