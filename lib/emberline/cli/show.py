"""`emberline show`: a dataset's facts and first rows, or what is in a root."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.console import Console
from rich.text import Text

from emberline.cli import place as places
from emberline.cli.console import make_console, make_table, printable, say
from emberline.cli.options import Base, Place
from emberline.cli.outcomes import held
from emberline.datasets import disk, rows, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset, Manifest
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError
from emberline.logs import one_line
from emberline.runs import status as statuses
from emberline.runs.roots import Roots
from emberline.runs.status import Status


def show(
    place: Place,
    base: Base = None,
    count: Annotated[
        int, typer.Option("--rows", min=0, help="How many rows of a dataset to print.")
    ] = 5,
) -> None:
    """Print a dataset's manifest and its first rows; or what is in a whole root, and how its
    stages ended.
    """
    console = make_console()
    root, name = places.find(place)
    if name is None:
        show_root(
            console,
            {each: _opened_or_why(root, each) for each in manifests.names(root)},
            statuses.all_of(root),
        )
        _show_rest_of_base(console, root, base)
        return
    opened = manifests.load(root, name)
    first = rows.head(opened, count) if opened.manifest.kind == "table" else None
    show_manifest(console, opened.manifest, first)


def _show_rest_of_base(console: Console, root: Location, base: str | None) -> None:
    """What is in the base, and not in the root."""
    roots = Roots(root, storage.locate(base) if base else None)
    roots.check()
    if roots.base is None:
        return
    rest = sorted(set(manifests.names(roots.base)) - set(manifests.names(root)))
    say(console, f"In the base {roots.base}, and not here:")
    show_root(console, {each: _opened_or_why(roots.base, each) for each in rest}, [])


def _opened_or_why(root: Location, name: str) -> Dataset | EmberlineError:
    try:
        with disk.explained():
            return manifests.load(root, name)
    except EmberlineError as error:
        return error


def show_manifest(console: Console, manifest: Manifest, first: pa.Table | None) -> None:
    """A dataset's facts and its first rows."""
    facts = make_table("", "", header=False)
    for name, value in _facts(manifest).items():
        facts.add_row(printable(name), Text(one_line(value)))
    console.print(facts)
    if first is not None and not manifest.rows:
        say(console, "no rows")
    elif first is not None and first.num_rows:
        table = make_table(*first.column_names)
        for row in first.to_pylist():
            table.add_row(
                *("" if value is None else printable(_short(value)) for value in row.values())
            )
        console.print(table)


def show_root(
    console: Console, datasets: Mapping[str, Dataset | EmberlineError], runs: Sequence[Status]
) -> None:
    """What is in a root: its datasets, or what is wrong with them, and how the last run of each
    stage ended.
    """
    table = make_table("dataset", ">rows", ">parts", ">bytes", "written by", "run")
    for name, found in datasets.items():
        table.add_row(
            printable(name),
            *map(printable, _sizes(found)) if isinstance(found, Dataset) else [""] * 5,
        )
    console.print(table)
    for name, found in datasets.items():
        if not isinstance(found, Dataset):
            say(console, f"{name}: {found}")
    table = make_table("stage", "last run", "at", ">seconds", ">memory", "error")
    for run in runs:
        style = None if run.state in ("succeeded", "running") else "red"
        took = (f"{run.seconds:.1f}", held(run.peak_bytes))
        cells = (run.stage, run.state, run.updated, *took, run.error or "")
        table.add_row(*(Text(one_line(cell)) for cell in cells), style=style)
    if runs:
        console.print(table)


def _sizes(dataset: Dataset) -> tuple[str, ...]:
    manifest = dataset.manifest
    rows = f"{manifest.rows:,}" if manifest.kind == "table" or manifest.rows else ""
    size = sum(part.bytes for part in manifest.parts)
    return (
        rows,
        f"{len(manifest.parts):,}",
        f"{size:,}",
        manifest.produced_by.stage,
        manifest.produced_by.run_id,
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    by = manifest.produced_by
    fields = ", ".join(
        f"{f['name']} {f['type']}{'?' if f['nullable'] else ''}" for f in manifest.fields
    )
    facts: dict[str, Any] = {
        "name": f"{manifest.name} ({manifest.kind})",
        "fields": fields or "-",
        "rows": (
            f"{manifest.rows:,} in {len(manifest.parts)} parts,"
            f" {sum(part.bytes for part in manifest.parts):,} bytes"
        ),
        "written by": f"{by.stage}, run {by.run_id}",
        "fingerprint": by.fingerprint,
        "config": json.dumps(by.config, ensure_ascii=True),
        "inputs": (
            ", ".join(f"{name} of run {identity['run_id']}" for name, identity in by.inputs.items())
            or "-"
        ),
    }
    if manifest.rank is not None:
        facts["rank"] = manifest.rank
    return facts | {
        name: json.dumps(value, ensure_ascii=True)[:2000] for name, value in manifest.info.items()
    }


def _short(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list):
        first = ", ".join(str(_short(element)) for element in value[:4])
        return f"[{first}{', ...' if len(value) > 4 else ''}]"
    return f"{value:.4f}" if isinstance(value, float) else value
