"""The console that commands print on: lines and tables in one style, whatever is in their texts.

Text that comes from data is shown with its control characters escaped, so that a title cannot
write to the terminal.
"""

from functools import partial
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from emberline.logs import one_line

# of tables that go to a file or another program, where there is no terminal to ask
_PIPE_WIDTH = 130
_LONGEST_CELL = 60
COLOURS = {"ok": "green", "warning": "yellow", "error": "bold red"}


def make_console(stderr: bool = False) -> Console:
    """A console as wide as the terminal, which takes no text for markup."""
    plain = partial(Console, stderr=stderr, highlight=False, markup=False, emoji=False)
    console = plain()
    return console if console.is_terminal else plain(width=_PIPE_WIDTH)


def say(console: Console, text: Any, style: str = "") -> None:
    """Print a line, whatever is in it: no line breaks, no control characters, no markup."""
    console.print(Text(one_line(text), style), soft_wrap=True)


def tell(text: str) -> None:
    """Print a line to standard output."""
    say(make_console(), text)


def printable(value: Any) -> Text:
    """A value from data for a table's cell: on one line, cut where it is very long, and no
    markup.
    """
    text = one_line(value)
    return Text(text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 3] + "...")


def make_table(*columns: str, header: bool = True, title: Text | None = None) -> Table:
    """A table in the one style of all; a column whose name starts with > is set flush right."""
    table = Table(
        box=box.SIMPLE_HEAD, show_header=header, title=title, title_justify="left", pad_edge=False
    )
    for name in columns:
        right = name.startswith(">")
        table.add_column(
            Text(one_line(name.removeprefix(">"))),
            justify="right" if right else "left",
            overflow="fold",
        )
    return table
