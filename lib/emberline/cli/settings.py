"""`emberline settings`: what may stand in a pipeline file, as a terminal and as a page have it."""

import difflib
import textwrap
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from emberline.cli.console import tell
from emberline.errors import ConfigError
from emberline.sections.described import Described, Setting, sections

_COLUMNS = 80
_PAGE = """# Settings

Every section of a pipeline file and every setting in it, as `emberline settings` prints them. A
section that is there is a stage that runs; what it does not say is as here.
`emberline settings --markdown` writes this page.
"""


def settings(
    section: Annotated[
        str | None, typer.Argument(help="One section, with those below it: als, cnn.optimizer, ...")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/settings.md.")
    ] = False,
) -> None:
    """Say what every setting of a pipeline file does, with its type, range and default."""
    chosen = _chosen(section)
    lines = page(chosen).split("\n") if markdown else shown(chosen)
    for line in lines:
        tell(line)


def _chosen(name: str | None) -> list[Described]:
    """All sections, or the one of this name and those below it. Raises ConfigError for none."""
    found = list(sections())
    if name is None:
        return [one for one in found if one.settings]
    wanted = name.strip("[]")
    chosen = [one for one in found if one.name == wanted or one.name.startswith(f"{wanted}.")]
    if not wanted or not chosen:
        known = [one.name for one in found if one.name]
        close = difflib.get_close_matches(wanted, known, n=3)
        told = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"
        raise ConfigError(f"there is no section [{wanted}] ({told})")
    return [one for one in chosen if one.settings]


def shown(found: Iterable[Described]) -> Iterator[str]:
    """The sections as lines of a terminal."""
    for number, section in enumerate(found):
        yield from [""] * (number > 0)
        yield from _shown(section)


def _shown(section: Described) -> Iterator[str]:
    yield from textwrap.wrap(_heading(section), _COLUMNS, subsequent_indent="  ")
    for one in section.settings:
        yield from textwrap.wrap(
            f"{one.name} = {one.default}  ({one.type})",
            _COLUMNS,
            initial_indent="  ",
            subsequent_indent="      ",
            break_on_hyphens=False,
        )
        yield from textwrap.wrap(
            one.description, _COLUMNS, initial_indent="      ", subsequent_indent="      "
        )


def _heading(section: Described) -> str:
    return f"[{section.name}]  {section.about}" if section.name else section.about


def page(found: Iterable[Described]) -> str:
    """The sections as a page of Markdown."""
    return "\n".join([_PAGE, *(line for section in found for line in _lines(section))]).rstrip()


def _lines(section: Described) -> Iterator[str]:
    yield f"## [{section.name}]" if section.name else "## Above all sections"
    yield f"\n{section.about}\n"
    yield "| setting | type | default | |"
    yield "|---|---|---|---|"
    yield from map(_row, section.settings)
    yield ""


def _row(one: Setting) -> str:
    default = one.default.replace("|", "\\|")
    cells = (f"`{one.name}`", _cell(one.type), f"`{default}`", _cell(one.description))
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """A text that Markdown shows as it is."""
    for mark in "\\|*_":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("<", "&lt;")
