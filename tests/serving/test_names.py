"""What an item is called: the same by the command, the API, the report, and in an export."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

import emberline
from emberline.cli.recommend import show_recommendations
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.export.table import export
from emberline.report import people

RUN_ID = "20250101T000000-00000000"
Rows = Sequence[dict[str, object]]
Called = Callable[[Path], dict[int, list[object]]]


def _write(root: Path, name: str, rows: Rows) -> None:
    schema = TABLES[name]
    folder = root / name / manifests.run_folder("0" * 16, RUN_ID)
    part = write_part([pa.Table.from_pylist([*rows], schema)], folder, "part-00000", schema)
    by = ProducedBy("prepare-ratings", "0" * 16, RUN_ID)
    manifests.commit(root, Manifest(name, "table", fields_of(schema), len(rows), [part], by))


def _attributes(item: int, title: str | None) -> dict[str, object]:
    return {
        "item": item,
        "item_id": f"i{item}",
        "title": title,
        "genres": [],
        "tags": [],
        "numbers": [],
    }


@pytest.fixture
def shop(root: Path) -> Path:
    """Items 0 to 3 have titles in both tables, in neither, in the ratings alone, and in the
    attributes alone; item 4 is known by its picture alone, item 5 by nothing.
    """
    _write(root, "users", [{"user": 0, "user_id": "anna"}])
    titles = {0: "By its ratings", 1: None, 2: "Rated", 3: None}
    _write(
        root,
        "items",
        [{"item": item, "item_id": f"i{item}", "title": title} for item, title in titles.items()],
    )
    _write(
        root,
        "item_attributes",
        [_attributes(0, "By its attributes"), _attributes(2, None), _attributes(3, "Attributes")],
    )
    _write(
        root,
        "images",
        [{"item": 4, "item_id": "i4", "label": None, "split": None, "pixels": b"\0"}],
    )
    lists = [
        dict(zip(TABLES["recommendations"].names, (0, item + 1, item, 1.0, "als"), strict=True))
        for item in range(6)
    ]
    _write(root, "recommendations", lists)
    return root


def _by_the_api(root: Path) -> dict[int, str]:
    return {
        row.rank - 1: row.title or row.item_id for row in emberline.recommend(root, "anna", k=6)
    }


def _by_the_command(root: Path) -> dict[int, str]:
    console = Console(record=True, width=130)
    show_recommendations(console, "user anna", emberline.recommend(root, "anna", k=6))
    lines = [line for line in console.export_text().splitlines() if line.split()[:1] != []]
    shown = [line for line in lines if line.split()[0].isdigit()]
    return {
        int(line.split()[0]) - 1: line.partition(" 1.0000")[0].strip().split("  ")[-1].strip()
        for line in shown
    }


def _by_the_report(root: Path) -> dict[int, str]:
    inputs = {name: manifests.load(root, name) for name in ("items", "item_attributes", "images")}
    inputs["images"].manifest.info.update(height=1, width=1, channels=1)
    return {item: called.title for item, called in people.items_of(inputs, set(range(6))).items()}


def _by_an_export(root: Path) -> dict[int, str]:
    export(root, "recommendations", str(root.parent / "lists.jsonl"))
    lines = map(json.loads, (root.parent / "lists.jsonl").read_text().splitlines())
    return {
        row["rank"] - 1: row["title"] or row["item_id"] or f"item {row['rank'] - 1}"
        for row in lines
    }


def test_an_item_has_one_name_wherever_it_is_shown(shop: Path) -> None:
    expected = {
        0: "By its attributes",
        1: "i1",
        2: "Rated",
        3: "Attributes",
        4: "i4",
        5: "item 5",
    }
    for shown in (_by_the_report, _by_an_export, _by_the_api, _by_the_command):
        assert shown(shop) == expected, shown.__name__
