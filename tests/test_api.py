"""Emberline from Python: what `import emberline` gives, and what it costs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import emberline
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_file, write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.errors import ConfigError, DataError, ManifestError, SchemaError

SHOP = "[shop]\nnum_items = 10\nnum_users = 10\nnum_events = 100\n"
RUN_ID = "20250101T000000-00000000"
Commit = Callable[..., None]


@pytest.fixture
def commit(root: Path) -> Commit:
    """`commit(name, *parts)` writes a table, a list of rows for each of its parts."""

    def write(name: str, *parts: list[tuple[object, ...]]) -> None:
        schema = TABLES[name]
        folder = root / name / manifests.run_folder("f" * 64, RUN_ID)
        tables = [
            pa.Table.from_pylist(
                [dict(zip(schema.names, row, strict=True)) for row in part], schema=schema
            )
            for part in parts
        ]
        written = [
            write_part([table], folder, f"part-{place}", schema)
            for place, table in enumerate(tables)
        ]
        by = ProducedBy("a-stage", "f" * 64, RUN_ID)
        manifests.commit(
            root, Manifest(name, "table", fields_of(schema), sum(map(len, parts)), written, by)
        )

    return write


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(SHOP, encoding="utf-8")
    return path


def _imported(code: str) -> set[str]:
    program = f"import sys, time; {code}; print(*(name for name in sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_importing_it_imports_nothing_of_what_it_does() -> None:
    mine = {name for name in _imported("import emberline") if name.startswith("emberline")}
    assert mine == {"emberline"}
    assert not {"pyarrow", "pydantic", "numpy", "pandas", "pyspark", "tensorflow"} & _imported(
        "import emberline"
    )


def test_planning_imports_neither_spark_nor_tensorflow_nor_pandas(
    pipeline: Path, root: Path
) -> None:
    heavy = {"pyspark", "tensorflow", "keras", "pandas", "matplotlib"}
    assert not heavy & _imported(
        f"import emberline; emberline.plan({str(pipeline)!r}, root={str(root)!r})"
    )


def test_the_command_line_begins_without_what_only_some_commands_need() -> None:
    heavy = {
        "pyspark",
        "tensorflow",
        "keras",
        "pandas",
        "matplotlib",
        "scipy.stats",
        "scipy.special",
    }
    assert not (heavy | {"numba", "optuna"}) & _imported("import emberline.cli.app")


def test_every_name_it_promises_is_there_with_a_docstring() -> None:
    for name in set(emberline.__all__) - {"__version__"}:
        assert getattr(emberline, name).__doc__, name
    assert emberline.__version__.count(".") == 2
    assert set(emberline.__all__) <= set(dir(emberline))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        emberline.nonsense  # noqa: B018  # type: ignore[attr-defined]


def test_a_pipeline_runs_once_and_is_then_up_to_date(pipeline: Path, root: Path) -> None:
    assert [
        (planned.stage.name, planned.reason) for planned in emberline.plan(pipeline, root=root)
    ] == [("generate-shop", "never run here")]
    (outcome,) = emberline.run(pipeline, root=root, settings={"shop.num_events": 120})
    assert (outcome.action, outcome.rows) == ("run", {"shop": 10})
    assert (
        emberline.run(str(pipeline), root=str(root), settings={"shop.num_events": 120})[0].action
        == "skip"
    )
    assert "shop.num_events was 120, is 100" in emberline.plan(pipeline, root=root)[0].reason


def test_settings_are_values_of_any_kind(pipeline: Path, root: Path) -> None:
    settings = {
        "als": {"rank": 3},
        "spark.conf": {"a.b": "c"},
        "ratings": {"path": Path("x y.csv"), "columns": {"user_id": 1}},
    }
    with pytest.raises(ConfigError, match=r"tiny\.toml: ratings\.columns\.item_id"):
        emberline.plan(pipeline, root=root, settings=settings)
    with pytest.raises(ConfigError, match=r"unknown key als\.rnk"):
        emberline.plan(pipeline, root=root, settings={"als.rnk": 3})


def test_a_table_is_read_whole_in_parts_and_by_columns(root: Path, commit: Commit) -> None:
    commit("items", [(0, "a", "Anna's"), (1, "b", None)], [(2, "c", "Ç")])
    table = emberline.open(root / "items")
    assert (table.name, table.rows, table.columns) == ("items", 3, ["item", "item_id", "title"])
    assert table.to_arrow().to_pylist()[2] == {"item": 2, "item_id": "c", "title": "Ç"}
    assert table.to_arrow(["title", "item"]).to_pydict() == {
        "title": ["Anna's", None, "Ç"],
        "item": [0, 1, 2],
    }
    assert [batch.num_rows for batch in table.batches()] == [2, 1]
    assert table.to_pandas()["item_id"].tolist() == ["a", "b", "c"]
    assert table.manifest.produced_by.run_id == RUN_ID
    assert [Path(file).is_file() for file in table.files] == [True, True]
    table.verify()
    with pytest.raises(SchemaError, match="items has no column titel"):
        table.to_arrow(["titel"])


def test_an_empty_table_has_its_columns(root: Path, commit: Commit) -> None:
    commit("items")
    assert emberline.open(root / "items").to_arrow().schema.names == ["item", "item_id", "title"]
    assert emberline.open(root / "items").to_pandas().empty


def test_an_artifact_has_files_and_no_rows(root: Path) -> None:
    part = write_file(
        b"<p>", root / "report" / manifests.run_folder("f" * 64, RUN_ID), "report.html"
    )
    manifests.commit(
        root, Manifest("report", "artifact", [], 0, [part], ProducedBy("report", "f" * 64, RUN_ID))
    )
    report = emberline.open(root / "report")
    assert Path(report.files[0]).read_bytes() == b"<p>"
    with pytest.raises(SchemaError, match="report is no table but files"):
        report.to_arrow()


def test_what_is_not_there_says_so(root: Path, commit: Commit) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        emberline.open(root / "items")
    (root / "items").mkdir(parents=True)
    with pytest.raises(ManifestError, match=r"has no manifest\.json"):
        emberline.open(root / "items")


def test_a_list_is_a_users_own(root: Path, commit: Commit) -> None:
    commit("users", [(0, "ann"), (1, "bob")])
    commit("items", [(0, "a", "Title"), (1, "b", None)])
    commit(
        "recommendations",
        [(0, 1, 1, 0.5, "als"), (0, 2, 0, 0.25, "als"), (1, 1, 0, 0.125, "popular")],
    )
    assert [(row.item_id, row.title) for row in emberline.recommend(root, "ann")] == [
        ("b", None),
        ("a", "Title"),
    ]
    assert [row.model for row in emberline.recommend(root, "bob", k=5)] == ["popular"]
    with pytest.raises(ConfigError, match="k = 0"):
        emberline.recommend(root, "ann", 0)


def test_errors_are_those_of_the_command() -> None:
    assert issubclass(ConfigError, emberline.EmberlineError) and issubclass(
        DataError, emberline.EmberlineError
    )
