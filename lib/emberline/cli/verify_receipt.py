"""`emberline verify-receipt`: a receipt of a forgetting compared with its root."""

from typing import Annotated

import typer

from emberline.cli.console import make_console, make_table, printable
from emberline.datasets import storage
from emberline.errors import DataError
from emberline.privacy import receipt as receipts
from emberline.privacy import verifying


def verify_receipt(
    receipt: Annotated[
        str, typer.Argument(metavar="RECEIPT.json", help="As emberline forget wrote it.")
    ],
    root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="The root; else the one that the receipt lies in."),
    ] = None,
) -> None:
    """Compare a receipt of a forgetting with its root: the seal, the tombstones, the tables of
    people, and that nothing removed is back.
    """
    path = storage.locate(receipt)
    found = receipts.read(path)
    place = storage.locate(root) if root else path.parent.parent.parent
    checks = list(verifying.verify(found, place))
    table = make_table("what", "is as it says", "found")
    for one in checks:
        table.add_row(one.name, "yes" if one.holds else "no", printable(one.found))
    make_console().print(table)
    if wrong := [one.name for one in checks if not one.holds]:
        raise DataError(
            f"receipt {found.receipt} does not hold in {place}: {', '.join(wrong)}; see above, and"
            " run emberline forget again"
        )
