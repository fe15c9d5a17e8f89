"""prepare-items: what is read of items and users, how rows of one id become one, and that every
row is accounted for.
"""

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.datasets.schema import TABLES
from emberline.errors import DataError, EmptyDatasetError, SchemaError
from emberline.runs import runner
from emberline.sections.config import Config

Row = dict[str, Any]
Publish = Callable[..., None]


def rows_of(root: Path, name: str) -> list[Row]:
    rows: list[Row] = pa.concat_tables(
        [pq.read_table(path) for path in manifests.load(root, name).paths]
    ).to_pylist()
    return rows


def prepare(root: Path, **attributes: Any) -> None:
    config = Config.model_validate({"attributes": attributes})
    runner.run(config, root, stages.select(config, "prepare-items"))


# --------------------------------------------------------------------------------------------------
# three sources of items and one of users

MOVIES = """\
id,title,genres,year,stars
7, Seven ,Crime| Mystery |Crime||,1995,8.6
007.0,Se7en,Thriller|Crime,1996,
12,,,,twelve
x1,No Number,Drama,2000,1
,Nobody,Drama,2000,1
13,"Heat, again",(none),+1.5e3,1e400
14,Too,many,fields,here,1
15,Alone,Beta|alpha|Alpha,,+8.5e-1
7,Seven, Crime|Noir ,NaN,9
"""
TAGS: list[Row] = [
    {"movie": 7, "tag": " slow ", "notes": "first note", "cast": ["Pitt", "Freeman"]},
    {"movie": 7, "tag": "dark", "notes": "second note", "cast": "Spacey/ Pitt"},
    {"movie": "7", "tag": "slow"},
    {"movie": 15, "tag": "a|b", "label": "x"},
    {"movie": None, "tag": "lost"},
    {"movie": 99, "tag": None},
]
PRICES: list[Row] = [
    {"key": 15, "price": 2.5, "year": 1111, "kind": "disc", "maker": None},
    {"key": 7, "price": None, "year": 2222, "kind": None, "maker": " New Line "},
    {"key": 40, "price": 0.125, "year": None, "kind": "tape"},
]
PEOPLE = "name;mood;age\nann;calm/kind;40\nbob;;\nann;loud/calm;41\n  ;calm;3\nbob;sad;old\n"

# By hand. Single values: the first in the order of sources, files and texts ("007.0,..." before "7,
# Seven" before "7,Seven").
ITEMS = {
    "7": {
        "title": "Se7en",
        "text": "first note",
        "label": None,
        "genres": ["Crime", "Mystery", "Noir", "Thriller"],
        "tags": ["dark", "slow"],
        "numbers": [1996.0, 8.6, None],
        "categories": ["New Line", None],
        "lists": [["Freeman", "Pitt", "Spacey"]],
    },
    "12": {
        "title": None,
        "text": None,
        "label": None,
        "genres": [],
        "tags": [],
        "numbers": [None, None, None],
        "categories": [None, None],
        "lists": [[]],
    },
    "13": {
        "title": "Heat, again",
        "text": None,
        "label": None,
        "genres": ["(none)"],
        "tags": [],
        "numbers": [1500.0, None, None],
        "categories": [None, None],
        "lists": [[]],
    },
    "15": {
        "title": "Alone",
        "text": None,
        "label": "disc",
        "genres": ["Alpha", "Beta", "alpha"],
        "tags": ["a|b"],
        "numbers": [1111.0, 0.85, 2.5],
        "categories": [None, "disc"],
        "lists": [[]],
    },
    "40": {
        "title": None,
        "text": None,
        "label": "tape",
        "genres": [],
        "tags": [],
        "numbers": [None, None, 0.125],
        "categories": [None, "tape"],
        "lists": [[]],
    },
    "99": {
        "title": None,
        "text": None,
        "label": None,
        "genres": [],
        "tags": [],
        "numbers": [None, None, None],
        "categories": [None, None],
        "lists": [[]],
    },
}
ITEM_REASONS = {
    ("item", "rejected", "id is not an integer"): 1,
    ("item", "rejected", "id is missing"): 2,
    ("item", "rejected", "wrong number of fields"): 1,
    ("item", "merged", "another row of the same id"): 8,
}
USER_REASONS = {
    ("user", "rejected", "id is missing"): 1,
    ("user", "merged", "another row of the same id"): 2,
}
KNOWN = [
    {"item": 4, "item_id": "15", "title": None},
    {"item": 2, "item_id": "unrelated", "title": None},
]


@pytest.fixture(scope="module")
def folder(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inputs, and `root` with what the stage makes of them."""
    folder = tmp_path_factory.mktemp("attributes")
    (folder / "movies.csv").write_text(MOVIES, encoding="utf-8")
    (folder / "tags.jsonl").write_text("\n".join(map(json.dumps, TAGS)), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(PRICES), folder / "prices.parquet")
    (folder / "people.txt").write_text(PEOPLE, encoding="utf-8")
    publish(folder / "root", "prepare-ratings", "items", KNOWN)
    dirty = {"max_rejected": 0.4}
    movies = {"id": "id", "title": "title", "genres": "genres"}
    tags = {"id": "movie", "tags": "tag", "text": "notes"}
    people = {"id": "name", "tags": "mood"}
    prepare(
        folder / "root",
        items=[
            dirty
            | {
                "path": f"{folder}/movies.csv",
                "ids": "integer",
                "columns": movies,
                "numbers": ["year", "stars"],
            },
            dirty
            | {
                "path": f"{folder}/tags.jsonl",
                "ids": "integer",
                "columns": tags,
                "list_separator": "/",
                "lists": {"actors": "cast"},
            },
            {
                "path": f"{folder}/prices.parquet",
                "columns": {"id": "key", "label": "kind"},
                "numbers": ["price", "year"],
                "categories": {"studio": "maker", "form": "kind"},
            },
        ],
        users=dirty
        | {
            "path": f"{folder}/people.txt",
            "separator": ";",
            "columns": people,
            "list_separator": "/",
            "numbers": ["age"],
        },
    )
    return folder


def attributes(root: Path, side: str) -> dict[str, Row]:
    """The attributes by id, without the indices."""
    rows = rows_of(root, f"{side}_attributes")
    found = {
        row.pop(f"{side}_id"): {name: value for name, value in row.items() if name != side}
        for row in rows
    }
    assert len(found) == len(rows)
    return found


def test_rows_of_one_item_from_csv_json_and_parquet_become_one(folder: Path) -> None:
    assert attributes(folder / "root", "item") == ITEMS
    assert manifests.load(folder / "root", "item_attributes").manifest.info["numbers"] == [
        "year",
        "stars",
        "price",
    ]
    info = manifests.load(folder / "root", "item_attributes").manifest.info
    assert info["categories"] == ["studio", "form"] and info["lists"] == ["actors"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"categories": ["genres"]}, "several columns called genres"),
        ({"categories": ["n"], "lists": ["n"]}, "several columns called n"),
        ({"categories": {"a x b": "n"}}, "'a x b'"),
    ],
)
def test_names_that_are_another_column_s_or_a_pair_s_are_refused(given: Row, message: str) -> None:
    source = {"path": "p", "columns": {"id": "i"}} | given
    with pytest.raises(ValueError, match=message):
        Config.model_validate({"attributes": {"items": source}})


def test_users_have_attributes_of_the_same_kind(folder: Path) -> None:
    nothing: Row = {"title": None, "text": None, "label": None, "genres": []}
    nothing |= {"categories": [], "lists": []}
    ann = nothing | {"tags": ["calm", "kind", "loud"], "numbers": [40.0]}
    assert attributes(folder / "root", "user") == {
        "ann": ann,
        "bob": nothing | {"tags": ["sad"], "numbers": [None]},
    }
    assert sorted(
        (row["user"], row["user_id"]) for row in rows_of(folder / "root", "user_attributes")
    ) == [
        (0, "ann"),
        (1, "bob"),
    ]


def test_known_items_keep_their_index_and_new_ones_come_after_the_last(folder: Path) -> None:
    found = {row["item_id"]: row["item"] for row in rows_of(folder / "root", "item_attributes")}
    assert found == {"15": 4, "12": 5, "13": 6, "40": 7, "7": 8, "99": 9}
    assert (
        "items" in manifests.load(folder / "root", "item_attributes").manifest.produced_by.previous
    )


def test_every_row_left_out_is_written_with_side_reason_file_and_text(folder: Path) -> None:
    rows = rows_of(folder / "root", "rejected_attributes")
    assert (
        Counter((row["side"], row["outcome"], row["reason"]) for row in rows)
        == ITEM_REASONS | USER_REASONS
    )
    by_text = {(row["source_file"], row["raw"]): row["reason"] for row in rows}
    assert by_text["movies.csv", "7,Seven, Crime|Noir ,NaN,9"] == "another row of the same id"
    assert by_text["movies.csv", "14,Too,many,fields,here,1"] == "wrong number of fields"
    assert by_text["people.txt", "bob;sad;old"] == "another row of the same id"
    assert ("movies.csv", "12,,,,twelve") not in by_text
    assert (
        by_text["movies.csv", "7, Seven ,Crime| Mystery |Crime||,1995,8.6"]
        == "another row of the same id"
    )
    assert ("movies.csv", "007.0,Se7en,Thriller|Crime,1996,") not in by_text


def test_the_accounts_of_both_sides_add_up(folder: Path) -> None:
    num_items = MOVIES.count("\n") - 1 + len(TAGS) + len(PRICES)
    for side, read, kept, reasons in (
        ("item", num_items, ITEMS, ITEM_REASONS),
        ("user", 5, "ab", USER_REASONS),
    ):
        info = manifests.load(folder / "root", f"{side}_attributes").manifest.info
        totals = Counter({"merged": 0, "rejected": 0})
        for (_, outcome, _), count in reasons.items():
            totals[outcome] += count
        assert info["accounts"] == {"read": read, "kept": len(kept), **totals}
        assert read == len(kept) + totals.total()
        assert info["reasons"] == {
            f"{outcome}: {reason}": count for (_, outcome, reason), count in reasons.items()
        }


def test_a_number_that_cannot_be_used_costs_that_number_and_is_counted(folder: Path) -> None:
    info = {
        side: manifests.load(folder / "root", f"{side}_attributes").manifest.info
        for side in ("item", "user")
    }
    assert info["item"]["unusable_numbers"] == {"stars": 2}
    assert info["user"]["unusable_numbers"] == {"age": 1}


def test_numbers_without_a_header_have_names_and_positions(root: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a;1.234,50;3\nb;7;x\n")
    source = {
        "path": f"{tmp_path}/in.csv",
        "separator": ";",
        "header": False,
        "decimal": ",",
        "thousands": ".",
    }
    prepare(root, items=source | {"columns": {"id": 1}, "numbers": {"price": 2, "stock": 3}})
    assert manifests.load(root, "item_attributes").manifest.info["numbers"] == ["price", "stock"]
    assert {row["item_id"]: row["numbers"] for row in rows_of(root, "item_attributes")} == {
        "a": [1234.5, 3.0],
        "b": [7.0, None],
    }


def test_a_quoted_line_break_is_text_of_its_item(root: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('i,t,n\na,"warm,\nand red",1\nb,"plain\n\n""x""",2\n')
    columns = {"id": "i", "title": "t"}
    prepare(root, items={"path": f"{tmp_path}/in.csv", "columns": columns, "numbers": ["n"]})
    found = {row["item_id"]: row for row in rows_of(root, "item_attributes")}
    assert {item: row["title"] for item, row in found.items()} == {
        "a": "warm,\nand red",
        "b": 'plain\n\n"x"',
    }
    assert {item: row["numbers"] for item, row in found.items()} == {"a": [1.0], "b": [2.0]}
    assert manifests.load(root, "rejected_attributes").rows == 0


# --------------------------------------------------------------------------------------------------
# failures


def test_more_rejected_rows_than_a_source_allows_stop_the_stage(root: Path, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("i,t\na,x\n")
    (tmp_path / "in.csv").write_text("i,t\na,x\n,y\n,z\n")
    sources = [
        {"path": f"{tmp_path}/{name}.csv", "columns": {"id": "i", "title": "t"}}
        for name in ("good", "in")
    ]
    told = (
        r"2 of 3 rows \(66\.7%\) cannot be used, and attributes\.items\.1\.max_rejected = 0\.05 .* "
    )
    told += r"2 id is missing \(see columns, nulls\), such as ',y'"
    with pytest.raises(DataError, match=told):
        prepare(root, items=sources)
    assert not list(root.glob("*/manifest.json"))


def test_when_nothing_can_be_used_the_reasons_are_told_and_nothing_is_written(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("i,n\n,1\na,x,y\nb\n")
    told = (
        r"none of the 3 rows of item attributes can be used \(rejected: wrong number of fields;"
        r" rejected: id is missing\)"
    )
    with pytest.raises(EmptyDatasetError, match=told):
        prepare(
            root,
            items={
                "path": f"{tmp_path}/in.csv",
                "columns": {"id": "i"},
                "numbers": ["n"],
                "max_rejected": 1.0,
            },
        )
    assert not list(root.glob("*/manifest.json"))


@pytest.mark.parametrize(
    "source",
    [{"columns": {"id": "i", "genres": "kinds"}}, {"columns": {"id": "i"}, "numbers": ["kinds"]}],
)
def test_a_missing_column_is_a_schema_error(root: Path, tmp_path: Path, source: Row) -> None:
    (tmp_path / "in.csv").write_text("i,genres\n1,a\n")
    with pytest.raises(
        SchemaError,
        match=r"in\.csv: column 'kinds' is missing; the header, cut at ',', has: i, genres",
    ):
        prepare(root, items=source | {"path": f"{tmp_path}/in.csv"})


# --------------------------------------------------------------------------------------------------
# MovieLens


@pytest.fixture(scope="module")
def movielens(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("movielens")
    data = shared_data / "movielens-latest-small"
    movies = {
        "path": f"{data}/movies.csv",
        "columns": {"id": "movieId", "title": "title", "genres": "genres"},
    }
    tags = {"path": f"{data}/tags.csv", "columns": {"id": "movieId", "tags": "tag"}}
    prepare(root, items=[movies, tags])
    return root


def test_movielens_titles_genres_and_tags_are_those_that_the_csv_module_reads(
    movielens: Path, shared_data: Path
) -> None:
    tags: dict[str, set[str]] = defaultdict(set)
    read = 0
    with (shared_data / "movielens-latest-small" / "tags.csv").open(
        newline="", encoding="utf-8"
    ) as file:
        for row in csv.DictReader(file):
            read += 1
            tags[row["movieId"]] |= {tag.strip(" ") for tag in row["tag"].split("|")}
    with (shared_data / "movielens-latest-small" / "movies.csv").open(
        newline="", encoding="utf-8"
    ) as file:
        movies = list(csv.DictReader(file))
    expected = {
        movie["movieId"]: (
            movie["title"].strip(" "),
            sorted(movie["genres"].split("|")),
            sorted(tags[movie["movieId"]] - {""}),
        )
        for movie in movies
    }
    table = rows_of(movielens, "item_attributes")
    assert {row["item_id"]: (row["title"], row["genres"], row["tags"]) for row in table} == expected
    assert len(table) == len(movies) == 9742
    assert len({genre for row in table for genre in row["genres"]}) == 20
    assert expected["1"][:2] == (
        "Toy Story (1995)",
        ["Adventure", "Animation", "Children", "Comedy", "Fantasy"],
    )
    accounts = manifests.load(movielens, "item_attributes").manifest.info["accounts"]
    assert accounts == {
        "read": len(movies) + read,
        "kept": len(movies),
        "merged": read,
        "rejected": 0,
    }


def test_the_published_tables_have_their_schema(folder: Path) -> None:
    for name in ("item_attributes", "user_attributes", "rejected_attributes"):
        assert all(
            pq.read_schema(path) == TABLES[name]
            for path in manifests.load(folder / "root", name).paths
        )
