"""Exported tables, read by other programs' readers: csv, json and pandas."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_file, write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.errors import ConfigError, DataError, EmberlineError, ManifestError
from emberline.export.table import export
from emberline.publish import releases

RUN_ID = "20250101T000000-00000000"
QUOTED = 'A "fine" thing; two,\nlines\r\n and Größe'
Commit = Callable[..., None]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def commit(root: Path, name: str, *parts: list[tuple[object, ...]]) -> None:
    """Write a table, a list of rows for each of its parts."""
    schema = TABLES[name]
    folder = root / name / manifests.run_folder("f" * 64, RUN_ID)
    tables = [
        pa.Table.from_pylist(
            [dict(zip(schema.names, row, strict=True)) for row in part], schema=schema
        )
        for part in parts
    ]
    written = [
        write_part([table], folder, f"part-{place}", schema) for place, table in enumerate(tables)
    ]
    by = ProducedBy("a-stage", "f" * 64, RUN_ID)
    manifests.commit(
        root, Manifest(name, "table", fields_of(schema), sum(map(len, parts)), written, by)
    )


@pytest.fixture
def shop(root: Path) -> Path:
    """Two users; item 2 has its title from the attributes, item 3 is known by its picture alone."""
    commit(root, "users", [(1, "=1+1")], [(0, "ann")])
    commit(root, "items", [(0, "i-0", QUOTED), (1, "007", None), (2, "NA", None)])
    commit(root, "item_attributes", [(2, "NA", "From attributes", None, None, [], [], [], [], [])])
    commit(root, "images", [(3, "pic", None, None, None, b"\0\1")])
    lists = [(0, 1, 0, 0.1, "als"), (0, 2, 3, 0.05, "cnn"), (1, 1, 2, 1e-9, "als")]
    commit(root, "recommendations", lists[:2], lists[2:], [])
    return root


EXPECTED = [
    ("ann", 1, "i-0", QUOTED, 0.1, "als"),
    ("ann", 2, "pic", None, 0.05, "cnn"),
    ("=1+1", 1, "NA", "From attributes", 1e-9, "als"),
]
COLUMNS = ["user_id", "rank", "item_id", "title", "score", "model"]


def _csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_csv_holds_outside_ids_and_titles_quoted_as_rfc_4180_has_it(
    shop: Path, tmp_path: Path
) -> None:
    assert export(shop, "recommendations", str(tmp_path / "new" / "lists.csv")) == 3
    header, *found = _csv((tmp_path / "new" / "lists.csv").read_bytes().decode())
    assert header == COLUMNS
    assert [
        (u, int(rank), i, title or None, float(score), model)
        for u, rank, i, title, score, model in found
    ] == EXPECTED
    assert found[0][4] == "0.1"


def test_json_lines_are_objects_whose_numbers_are_short(shop: Path, tmp_path: Path) -> None:
    export(shop, "recommendations", str(tmp_path / "lists.jsonl"))
    lines = (tmp_path / "lists.jsonl").read_text(encoding="utf-8").splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == EXPECTED
    assert (
        list(json.loads(lines[0])) == COLUMNS
        and '"score": 0.1,' in lines[0]
        and "Größe" in lines[0]
    )


def test_parquet_is_one_file_that_pandas_reads_alone(shop: Path, tmp_path: Path) -> None:
    export(shop, "recommendations", str(tmp_path / "lists.parquet"))
    frame = pd.read_parquet(tmp_path / "lists.parquet")
    assert frame.columns.tolist() == COLUMNS
    assert frame["user_id"].tolist() == ["ann", "ann", "=1+1"] and frame["title"][1] is None


def test_parquet_holds_floats_as_the_tables_of_a_root_do_without_a_dictionary(
    shop: Path, tmp_path: Path
) -> None:
    export(shop, "recommendations", str(tmp_path / "lists.parquet"))
    group = pq.read_metadata(tmp_path / "lists.parquet").row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    assert columns["user_id"].has_dictionary_page and not columns["score"].has_dictionary_page


def test_any_table_with_indices_gets_names_and_any_other_its_own_columns(
    shop: Path, tmp_path: Path
) -> None:
    commit(shop, "item_neighbors", [(0, 2, 0.5)])
    commit(shop, "user_neighbors", [(0, 1, 0.5)])
    commit(shop, "item_factors", [(1, [0.1, -2.0])])
    commit(shop, "holdout", [(0, 1, 2.0, datetime(2025, 1, 2, tzinfo=UTC), True)])
    commit(shop, "rejected_ratings", [("a.csv", "rejected", "why", "1,2")])
    found = {}
    for name in (
        "item_neighbors",
        "user_neighbors",
        "item_factors",
        "holdout",
        "rejected_ratings",
        "images",
        "users",
    ):
        export(shop, name, str(tmp_path / "it.jsonl"))
        found[name] = json.loads((tmp_path / "it.jsonl").read_text().splitlines()[0])
    assert found["item_neighbors"] == {
        "item_id": "i-0", "title": QUOTED, "neighbor_id": "NA",
        "neighbor_title": "From attributes", "similarity": 0.5
    }  # fmt: skip
    assert found["user_neighbors"] == {"user_id": "ann", "neighbor_id": "=1+1", "similarity": 0.5}
    assert found["item_factors"] == {"item_id": "007", "title": None, "factors": [0.1, -2.0]}
    assert (
        found["holdout"]["timestamp"] == "2025-01-02T00:00:00+00:00"
        and found["holdout"]["item_id"] == "007"
    )
    assert found["rejected_ratings"]["raw"] == "1,2"
    assert found["images"]["pixels"] == "AAE=" and found["images"]["item_id"] == "pic"
    assert found["users"] == {"user_id": "=1+1"}


def test_lists_are_json_in_csv(shop: Path, tmp_path: Path) -> None:
    commit(shop, "item_factors", [(1, [0.1, -2.0])])
    export(shop, "item_factors", str(tmp_path / "f.csv"))
    assert _csv((tmp_path / "f.csv").read_text())[1] == ["007", "", "[0.1, -2.0]"]


def test_a_text_that_is_a_formula_is_defused_for_spreadsheets_only(
    shop: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lists.csv"
    export(shop, "recommendations", str(path))
    assert _csv(path.read_text())[-1][0] == "=1+1"
    export(shop, "recommendations", str(path), is_for_spreadsheets=True)
    assert _csv(path.read_text())[-1][0] == "'=1+1" and _csv(path.read_text())[-1][4] == "1e-9"
    with pytest.raises(ConfigError, match="leave the option out"):
        export(shop, "recommendations", str(tmp_path / "x.jsonl"), is_for_spreadsheets=True)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_every_way_to_begin_a_formula_is_known(root: Path, tmp_path: Path, start: str) -> None:
    commit(root, "users", [(0, f"{start}cmd"), (1, f"a{start}")])
    export(root, "users", str(tmp_path / "u.csv"), is_for_spreadsheets=True)
    found = _csv((tmp_path / "u.csv").read_bytes().decode())[1:]
    assert found == [[f"'{start}cmd"], [f"a{start}"]]


def test_an_empty_table_is_a_file_with_columns(root: Path, tmp_path: Path) -> None:
    commit(root, "users")
    commit(root, "items")
    commit(root, "recommendations")
    for style in ("csv", "jsonl", "parquet"):
        assert export(root, "recommendations", str(tmp_path / f"x.{style}")) == 0
    assert (tmp_path / "x.csv").read_text() == ",".join(f'"{name}"' for name in COLUMNS) + "\n"
    assert pd.read_parquet(tmp_path / "x.parquet").columns.tolist() == COLUMNS


def test_a_failed_export_leaves_what_was_there(shop: Path, tmp_path: Path) -> None:
    target = tmp_path / "lists.csv"
    target.write_text("before")
    part = manifests.load(shop, "recommendations").paths[1]
    content = bytearray(part.read_bytes())
    content[20] ^= 0xFF
    part.write_bytes(content)
    with pytest.raises(EmberlineError):
        export(shop, "recommendations", str(target))
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["lists.csv"]


def test_a_release_is_exported_as_a_root_is(shop: Path, tmp_path: Path, command: Command) -> None:
    releases.publish(shop, tmp_path / "served", ["recommendations", "users", "items"])
    ended = command("export", tmp_path / "served", "recommendations", "--to", "lists.csv")
    assert (ended.returncode, ended.stdout) == (0, "lists.csv: 3 rows of recommendations\n")
    # images are not served
    assert [row[2] for row in _csv((tmp_path / "lists.csv").read_text())[1:]] == ["i-0", "", "NA"]


def test_standard_output_holds_nothing_else_and_a_closed_pipe_is_no_failure(
    shop: Path, command: Command, tmp_path: Path
) -> None:
    ended = command("export", shop, "recommendations", "--to", "-", "--format", "jsonl")
    assert [json.loads(line)["user_id"] for line in ended.stdout.splitlines()] == [
        "ann",
        "ann",
        "=1+1",
    ]
    commit(shop, "ratings", [(0, 0, 1.0, None)] * 200_000)
    program = (
        f"{sys.executable} -c 'from emberline.cli.main import main; main()'"
        f" export {shop} ratings --to - | head -2"
    )
    piped = subprocess.run(
        ["bash", "-o", "pipefail", "-c", program], capture_output=True, text=True, env=os.environ
    )
    assert (piped.returncode, piped.stderr, piped.stdout.count("\n")) == (0, "", 2)


@pytest.mark.parametrize(
    ("table", "to", "error", "said"),
    [
        (
            "recommendations",
            "lists.xlsx",
            ConfigError,
            r"expected a name that ends in \.csv, \.jsonl, \.parquet",
        ),
        ("recommendations", "lists", ConfigError, "or say --format"),
        ("nonsense", "x.csv", ManifestError, "there is no dataset nonsense"),
        ("metrics", "x.csv", DataError, "metrics is no table but files"),
    ],
)
def test_what_cannot_be_exported_says_why(
    shop: Path, table: str, to: str, error: type[Exception], said: str
) -> None:
    part = write_file(
        b"{}", shop / "metrics" / manifests.run_folder("f" * 64, RUN_ID), "metrics.json"
    )
    manifests.commit(
        shop,
        Manifest("metrics", "artifact", [], 0, [part], ProducedBy("evaluate", "f" * 64, RUN_ID)),
    )
    with pytest.raises(error, match=said):
        export(shop, table, to)
