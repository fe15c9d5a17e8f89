"""Forgetting: no byte of somebody stays, and what is made anew is as if they had never been."""

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.privacy.conftest import (
    NUM_USERS,
    PIPELINE,
    log_lines,
    places_of,
    rows_of,
    run_in,
    user_id,
    write_shop,
)
from typer.testing import CliRunner

from emberline import pipelines
from emberline.cleaning.forgotten import digest
from emberline.cli.app import app
from emberline.datasets import manifest as manifests
from emberline.datasets import released
from emberline.datasets.manifest import run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES
from emberline.errors import ConfigError, DataError
from emberline.privacy import forgetting, verifying
from emberline.privacy import receipt as receipts
from emberline.privacy.receipt import Receipt
from emberline.privacy.scan import scan
from emberline.publish import releases
from emberline.runs import tombstones

KILLS = int(os.environ.get("EMBERLINE_KILLS", "25"))  # the seed of where runs are killed
GONE = (3, 5, 17)  # of whom some have rows that cannot be used, and one that is torn
ALS = (
    PIPELINE.replace('model = "item-neighbors"\n', "")
    + '\n[als]\nrank = 4\niterations = 2\nstart_from = "previous"\n'
)


def listed(folder: Path, users: tuple[int, ...] = GONE) -> str:
    (folder / "gone.csv").write_text("\n".join(["user_id", *map(user_id, users)]) + "\n")
    return str(folder / "gone.csv")


def indices_of(folder: Path) -> dict[str, int]:
    users = rows_of(folder, "users")
    return dict(zip(users["user_id"].to_pylist(), users["user"].to_pylist(), strict=True))


def forget(
    folder: Path, users: tuple[int, ...] = GONE, published: tuple[Path, ...] = (), toml: str = ""
) -> tuple[Receipt, Path]:
    (folder / "pipeline.toml").write_text(toml or ALS)
    root = folder / "root"
    config = pipelines.load(folder / "pipeline.toml", [f"root={root}"])
    receipt, place = forgetting.forget(config, root, listed(folder, users), folders=published)
    return receipt, Path(str(place))


def tables_of(folder: Path) -> dict[str, pa.Table]:
    """Every table of a root in the order of its columns, which no number of threads changes."""
    found = {}
    for name in manifests.names(folder / "root"):
        dataset = manifests.load(folder / "root", name)
        if dataset.manifest.kind == "table" and dataset.rows:
            rows = pa.concat_tables(map(pq.read_table, dataset.paths))
            plain = [name for name in rows.column_names if not pa.types.is_list(rows[name].type)]
            found[name] = rows.sort_by([(name, "ascending") for name in plain])
    return found


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose root was run twice, published twice, and holds a table of another pipeline,
    work of a killed run, and a status of a stage that is there no more.
    """
    folder = tmp_path_factory.mktemp("used")
    write_shop(folder)
    run_in(folder, ALS, "split.n=2")
    root = folder / "root"
    releases.publish(root, folder / "served", with_defaults=False)
    run_in(folder, ALS)
    releases.publish(root, folder / "served", with_defaults=False)
    for name in ("user_factors", "rejected_ratings"):
        shutil.copytree(root / name, root / f"{name}_of_old")
        content = json.loads((root / name / "manifest.json").read_text())
        content["name"] = f"{name}_of_old"
        (root / f"{name}_of_old" / "manifest.json").write_text(json.dumps(content))
    work = root / "_work" / "train-cnn" / ("0" * 16)
    work.mkdir(parents=True)
    (work / "checkpoint").write_text(user_id(GONE[0]))
    (root / "_status" / "sow.json").write_text(json.dumps({"error": user_id(GONE[1])}))
    return folder


@pytest.fixture(scope="module")
def forgotten(used: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Receipt, Path]:
    """A copy of it in which three people were forgotten."""
    folder = tmp_path_factory.mktemp("forgotten") / "copy"
    shutil.copytree(used, folder)
    for path in (folder / "served").rglob("*.json"):
        path.write_text(path.read_text().replace(str(used), str(folder)))
    receipt, place = forget(folder, published=(folder / "served",))
    return folder, receipt, place


def test_before_it_they_are_in_many_files(used: Path) -> None:
    """Which the search of these tests finds, packed or not."""
    names = places_of(used / "root", user_id(GONE[0]))
    assert len(names) > 8 and any("decoded" in name for name in names)


def test_no_byte_of_them_is_left_in_the_root_or_where_it_was_published(
    forgotten: tuple[Path, Receipt, Path],
) -> None:
    folder, receipt, _ = forgotten
    for user in GONE:
        assert places_of(folder / "root", user_id(user)) == []
        assert places_of(folder / "served", user_id(user)) == []
    assert places_of(folder / "root", user_id(4))
    assert receipt.is_clean and receipt.found == {}
    assert receipt.looked_at["files"] > 20 and receipt.looked_at["decoded_bytes"] > 10_000
    assert released.current(folder / "served") is not None
    assert len(list((folder / "served" / "releases").iterdir())) == 1
    assert len(receipt.releases[0].removed) == 2


def test_tables_are_those_of_a_root_that_never_had_them_under_the_same_indices(
    forgotten: tuple[Path, Receipt, Path], used: Path, tmp_path: Path
) -> None:
    folder, _, _ = forgotten
    never = tmp_path / "never"
    write_shop(never, without=GONE)
    indices = indices_of(used)
    _give_indices(never, used, {indices[user_id(user)] for user in GONE})
    run_in(never, ALS.replace('start_from = "previous"\n', ""))
    expected, found = tables_of(never), tables_of(folder)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not expected[name].equals(found[name])] == []
    assert set(indices.values()) - set(found["users"]["user"].to_pylist()) == {
        indices[user_id(user)] for user in GONE
    }


def _give_indices(never: Path, used: Path, reserved: set[int]) -> None:
    """The id maps of a root in another one, without some users."""
    for name in ("users", "items", "user_attributes"):
        dataset = manifests.load(used / "root", name)
        rows = rows_of(used, name)
        if "user" in rows.column_names:
            kept = [user not in reserved for user in rows["user"].to_pylist()]
            rows = rows.filter(pa.array(kept))
        by = dataset.manifest.produced_by
        folder = never / "root" / name / run_folder(by.fingerprint, by.run_id)
        part = write_part([rows], folder, "part-00000", TABLES[name])
        more = replace(dataset.manifest, rows=rows.num_rows, parts=[part])
        manifests.commit(never / "root", more)


def test_raw_rows_of_theirs_are_counted_and_left_out_of_later_runs(
    forgotten: tuple[Path, Receipt, Path], tmp_path: Path
) -> None:
    receipt, folder = forgotten[1], tmp_path / "copy"
    shutil.copytree(forgotten[0], folder)
    of_theirs = sum(any(user_id(user) in line for user in GONE) for line in log_lines())
    assert receipt.rows_left_out == {"interactions": of_theirs, "user_attributes": 3}
    accounts = manifests.load(folder / "root", "interactions").manifest.info["accounts"]
    assert accounts["forgotten"] == of_theirs
    assert accounts["read"] == sum(accounts.values()) - accounts["read"]
    assert {outcome.action for outcome in run_in(folder, ALS)} == {"skip"}
    with (folder / "log.csv").open("a") as log:
        log.write(f"{user_id(1)},sku/00001,5,4000000000,\n")
    assert run_in(folder, ALS, only="prepare-ratings")[0].metrics["accounts"]["forgotten"]
    assert places_of(folder / "root", user_id(GONE[0])) == []


def test_factors_begin_anew(forgotten: tuple[Path, Receipt, Path], used: Path) -> None:
    previous = [
        manifests.load(folder / "root", "item_factors").manifest.produced_by.previous
        for folder in (used, forgotten[0])
    ]
    assert "item_factors" in previous[0] and "item_factors" not in previous[1]


def test_who_comes_back_is_new(forgotten: tuple[Path, Receipt, Path], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(forgotten[0], folder)
    with (folder / "log.csv").open("a") as log:
        log.write(f"{user_id(GONE[0])},sku/00001,5,4000000000,\n")
    run_in(folder, ALS, only="prepare-ratings")
    users = indices_of(folder)
    assert users[user_id(GONE[0])] == NUM_USERS
    known = tombstones.read(folder / "root")
    assert known and NUM_USERS not in {one.index for one in known.people}
    receipt = forgotten[1]
    checks = {one.name: one for one in verifying.verify(receipt, folder / "root")}
    assert checks["users"].holds and "1 came back since" in checks["users"].found


def test_a_receipt_verifies_and_one_that_does_not_hold_says_why(
    forgotten: tuple[Path, Receipt, Path], used: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(forgotten[0], folder)
    place = folder / "root" / forgotten[2].relative_to(forgotten[0] / "root")
    asked = ["verify-receipt", str(place)]
    assert CliRunner().invoke(app, asked).exit_code == 0
    assert all(user_id(user) not in place.read_text() for user in GONE)
    text = place.read_text()
    place.write_text(text.replace('"too_short": 0', '"too_short": 1'))
    assert "seal" in str(CliRunner().invoke(app, asked).exception)
    place.write_text(text)
    shutil.rmtree(folder / "root" / "users")
    shutil.copytree(used / "root" / "users", folder / "root" / "users")
    told = CliRunner().invoke(app, asked)
    assert isinstance(told.exception, DataError) and "users" in str(told.exception)
    assert "3 of them are there" in told.output
    (folder / "root" / "_forgotten" / "tombstones.json").unlink()
    assert "tombstones" in str(CliRunner().invoke(app, asked).exception)


def test_an_id_that_stays_in_a_text_is_found_and_said(
    forgotten: tuple[Path, Receipt, Path], tmp_path: Path
) -> None:
    (tmp_path / "export.csv").write_text(f"user_id,score\n{user_id(GONE[0])},1\n")
    with zipfile.ZipFile(tmp_path / "old.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("page.html", f"{'a' * 99}{user_id(GONE[1])}")
    found = scan(tmp_path, {user_id(user) for user in GONE}).found
    assert found == {"export.csv": 1, "old.zip": 1}
    forgetting.check_clean(forgotten[1])
    with pytest.raises(DataError, match=r"are still in export\.csv, old\.zip"):
        forgetting.check_clean(replace(forgotten[1], found=found))


def test_short_numbers_are_looked_for_where_ids_stand_alone(tmp_path: Path) -> None:
    table = pa.table({"user_id": ["7", "70"], "raw": ["7,7,7.0", "8"]})
    pq.write_table(table, tmp_path / "part.parquet", compression="zstd")
    looked = scan(tmp_path, ["7"])
    assert (looked.found, looked.too_short) == ({"part.parquet": 1}, 1)
    pq.write_table(pa.table({"t": ["x" * 50 + "anna@shop" * 3]}), tmp_path / "part.parquet")
    as_it_is = (tmp_path / "part.parquet").read_bytes().count(b"anna@shop")  # in its statistics
    assert scan(tmp_path, ["anna@shop"]).found == {"part.parquet": 3 + as_it_is}


def test_texts_are_found_however_deep_they_lie(tmp_path: Path) -> None:
    """In lists and structs, and bytes; columns of numbers are not read."""
    table = pa.table(
        {
            "tags": [["a", "anna@shop"]],
            "who": [{"name": "anna@shop", "at": [1]}],
            "page": [b"<p>anna@shop</p>"],
            "words": pa.array(["anna@shop"]).dictionary_encode(),
            "large": pa.array(["anna@shop"], pa.large_string()),
            "factors": [[0.5, 0.25]],
        }
    )
    pq.write_table(table, tmp_path / "part.parquet", compression="zstd", write_statistics=False)
    looked = scan(tmp_path, ["anna@shop"])
    as_it_is = (tmp_path / "part.parquet").read_bytes().count(b"anna@shop")
    assert looked.found == {"part.parquet": 5 + as_it_is}
    pq.write_table(table.select(["factors"]), tmp_path / "part.parquet")
    looked = scan(tmp_path, ["anna@shop"])
    assert (looked.found, looked.decoded_files, looked.decoded_bytes) == ({}, 1, 0)


def test_what_cannot_be_done_whole_is_refused_before_anything_changes(
    used: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(used, folder)
    before = {path: path.read_bytes() for path in (folder / "root").rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="has no releases: leave it out"):
        forget(folder, published=(tmp_path / "nowhere",))
    with pytest.raises(ConfigError, match="was published from"):
        forget(folder, published=(folder / "served",))
    with pytest.raises(ConfigError, match=r"als\.iterations = 0 keeps factors"):
        forget(folder, toml=ALS.replace("iterations = 2", "iterations = 0"))
    with pytest.raises(DataError, match="lists nobody"):
        forget(folder, users=())
    after = {path: path.read_bytes() for path in (folder / "root").rglob("*") if path.is_file()}
    assert {path for path in before | after if before.get(path) != after.get(path)} <= {
        folder / "root" / "_lock"
    }
    assert digest(b"a", "x") != digest(b"b", "x")


KILLED = """
import os, sys
from pathlib import Path
from emberline import pipelines
from emberline.datasets import lock, storage
from emberline.privacy import forgetting

left = int(sys.argv[2])

def counting(function):
    def called(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return function(*arguments, **named)
    return called

for name in ("replace_file", "remove_folder", "make_folder", "create"):
    setattr(storage, name, counting(getattr(storage, name)))
folder = Path(sys.argv[1])
root = folder / "root"
config = pipelines.load(folder / "pipeline.toml", [f"root={root}"])
forgetting.forget(config, root, str(folder / "gone.csv"))
print(int(sys.argv[2]) - left)
"""


def _killed_after(folder: Path, steps: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(folder), str(steps)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.faults
def test_killed_anywhere_and_run_again_it_is_the_same(
    used: Path, forgotten: tuple[Path, Receipt, Path], tmp_path: Path
) -> None:
    """At ten points drawn among all writes and removals, which `pytest -s` prints."""
    expected = tables_of(forgotten[0])
    whole = tmp_path / "whole"
    shutil.copytree(used, whole)
    listed(whole)
    total = int(_killed_after(whole, 10**6).stdout)
    assert total > 30
    points = sorted(random.Random(KILLS).sample(range(1, total), 10))
    print(f"seed {KILLS}: killed before the writes and removals {points} of {total}")
    for point in points:
        folder = tmp_path / f"killed-{point}"
        shutil.copytree(used, folder)
        listed(folder)
        killed = _killed_after(folder, point)
        assert killed.returncode == 9, killed.stderr
        receipt, place = forget(folder)
        found = tables_of(folder)
        assert expected.keys() == found.keys()
        assert [name for name in expected if not expected[name].equals(found[name])] == []
        assert all(places_of(folder / "root", user_id(user)) == [] for user in GONE)
        assert all(one.holds for one in verifying.verify(receipts.read(place), folder / "root"))
        assert {one.name for one in receipt.datasets if one.before} >= set(expected)
        shutil.rmtree(folder)
