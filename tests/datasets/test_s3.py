"""Datasets in an object store: a real server on loopback, read and written through pyarrow's
client.
"""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import boto3
import pyarrow as pa
import pytest

from emberline.cnn import checkpoint
from emberline.cnn.checkpoint import Checkpoint
from emberline.datasets import damage, inputs, listing, rows, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.parts import write_part
from emberline.datasets.prune import prune
from emberline.datasets.remote import RemotePath
from emberline.datasets.schema import TABLES, fields_of
from emberline.errors import ConfigError, DataError, ManifestError, StorageError

USERS = TABLES["users"]
FINGERPRINT = "0" * 64


@pytest.fixture
def client(s3_server: str) -> "boto3.client":
    """Amazon's own client, as the witness of what is in the bucket."""
    return boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1")


def put(client: "boto3.client", folder: RemotePath, *names: str) -> None:
    for name in names:
        client.put_object(
            Bucket=folder.authority, Key=f"{folder.key}/{name}".lstrip("/"), Body=name.encode()
        )


def keys(client: "boto3.client", folder: RemotePath) -> set[str]:
    found = client.list_objects_v2(Bucket=folder.authority).get("Contents", [])
    return {entry["Key"] for entry in found if not entry["Key"].endswith("/")}


def publish(
    root: RemotePath, *parts_rows: list[tuple[int, str]], run_id: str = "20250101T000000-00000000"
) -> None:
    folder = root / "users" / manifests.run_folder(FINGERPRINT, run_id)
    tables = [
        pa.Table.from_pylist([{"user": u, "user_id": name} for u, name in part], USERS)
        for part in parts_rows
    ]
    parts = [
        write_part([table], folder, f"part-{number:05d}", USERS)
        for number, table in enumerate(tables)
    ]
    by = ProducedBy("prepare-ratings", FINGERPRINT, run_id)
    manifests.commit(
        root,
        Manifest("users", "table", fields_of(USERS), sum(part.rows for part in parts), parts, by),
    )


@pytest.mark.parametrize(
    "uri", ["s3://shop/a/b", "s3a://shop/a/b", "S3://shop/a/b/", "s3://shop//a/b"]
)
def test_both_names_of_s3_are_one_place_under_the_name_that_each_reader_knows(uri: str) -> None:
    place = storage.locate(uri)
    assert str(place) == "s3://shop/a/b"
    assert storage.spark_uri(place) == "s3a://shop/a/b"
    assert place == storage.locate(str(place))


@pytest.mark.parametrize("uri", ["hdfs://node:8020/a", "gs://shop/a"])
def test_other_storages_keep_their_name_for_spark(uri: str) -> None:
    assert storage.spark_uri(storage.locate(uri)) == uri


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://KEY:SECRET@shop/a", "does not hold credentials"),
        ("s3:///a", "expected s3://BUCKET/FOLDER"),
        ("s3://shop/a/../b", "no meaning"),
    ],
)
def test_a_uri_that_is_none_is_refused(uri: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        storage.locate(uri)
    assert "SECRET" not in str(refused.value)


def test_files_are_listed_by_folder_by_glob_and_one_by_one(
    s3_root: RemotePath, client: "boto3.client"
) -> None:
    put(
        client,
        s3_root,
        "a.csv",
        "2025/01/b.csv",
        "2025/02/c.csv",
        "2025/02/c.txt",
        "_SUCCESS",
        "2025/.tmp/d.csv",
    )

    def listed(pattern: str) -> list[str]:
        return [file.relative for file in listing.list_files(f"{s3_root}{pattern}")]

    assert listed("") == ["2025/01/b.csv", "2025/02/c.csv", "2025/02/c.txt", "a.csv"]
    assert listed("/*.csv") == ["a.csv"]
    assert listed("/**/*.csv") == ["2025/01/b.csv", "2025/02/c.csv", "a.csv"]
    assert listed("/2025/0[2-9]/*") == ["02/c.csv", "02/c.txt"]
    assert listed("/2025/02/c.csv") == ["c.csv"]
    (file,) = listing.list_files(s3_root / "a.csv")
    assert (file.size, file.path.read_bytes()) == (5, b"a.csv") and abs(
        file.modified / 1e9 - time.time()
    ) < 60


def test_objects_that_are_uploaded_again_are_known_by_their_etags(
    s3_root: RemotePath, client: "boto3.client"
) -> None:
    put(client, s3_root, "a.csv", "b.csv")
    files = listing.list_files(s3_root)
    with inputs.Digests(files) as digests:
        read = inputs.of("run", [files], digests)
    inputs.write(s3_root / "root", "prepare", read)
    assert inputs.read(s3_root / "root", "prepare") == read
    later = [replace(file, modified=file.modified + 1) for file in files]
    assert read.compare([later]).changes == ""
    client.put_object(
        Bucket=s3_root.authority, Key=str((s3_root / "b.csv").key).lstrip("/"), Body=b"B.csv"
    )
    assert read.compare([later]).changes == "b.csv changed"


def test_what_is_not_there_is_a_data_error(s3_root: RemotePath) -> None:
    with pytest.raises(DataError, match="nothing does not exist; put the data there"):
        listing.list_files(s3_root / "nothing")
    with pytest.raises(ManifestError, match=r"has no manifest\.json"):
        manifests.load(s3_root, "users")


def test_a_dataset_is_written_and_read_as_on_a_disk(
    s3_root: RemotePath, client: "boto3.client"
) -> None:
    publish(s3_root, [(0, "anna"), (1, "bo")], [(2, "cy")])
    users = manifests.load(s3_root, "users")
    damage.verify(users)
    assert rows.head(users, 2)["user_id"].to_pylist() == ["anna", "bo"]
    assert rows.rows_where(users, "user_id", ["cy", "dan"], ["user"]).to_pylist() == [
        {"user_id": "cy", "user": 2}
    ]
    run_folder = (
        f"runs/nightly/users/{manifests.run_folder(FINGERPRINT, '20250101T000000-00000000')}"
    )
    names = {f"{run_folder}/{path.name}" for path in users.paths}
    assert keys(client, s3_root) == {*names, "runs/nightly/users/manifest.json"}


def test_a_part_that_is_gone_short_or_altered_is_named(s3_root: RemotePath) -> None:
    publish(s3_root, [(0, "anna")], [(1, "bo")])
    second = manifests.load(s3_root, "users").paths[1]
    content = second.read_bytes()
    storage.replace_file(second, content[:30] + bytes([content[30] ^ 1]) + content[31:])
    with pytest.raises(ManifestError, match=r"part-00001-.* was altered"):
        damage.verify(manifests.load(s3_root, "users"))
    with pytest.raises(DataError, match=r"part-00001-.* cannot be read"):
        rows.head(manifests.load(s3_root, "users"), 2)
    storage.replace_file(second, content[:-1])
    with pytest.raises(
        ManifestError,
        match=rf"part-00001-.* has {len(content) - 1} bytes instead of {len(content)}",
    ):
        manifests.load(s3_root, "users")
    second.unlink()
    with pytest.raises(ManifestError, match=r"lists 2 parts but .*part-00001-.* is missing"):
        manifests.load(s3_root, "users")


def test_old_runs_are_pruned_and_the_current_one_is_not(
    s3_root: RemotePath, client: "boto3.client"
) -> None:
    publish(s3_root, [(0, "anna")], run_id="20250101T000000-00000000")
    publish(s3_root, [(0, "anna")], run_id="20250102T000000-00000000")
    publish(s3_root, [(0, "anna")], run_id="20250103T000000-00000000")
    assert prune(s3_root, keep=1, older_than=3600) == []
    removed = prune(s3_root, keep=2, older_than=0)
    assert [path.name[-18:] for path in removed] == ["01T000000-00000000"]
    assert len(keys(client, s3_root)) == 3
    damage.verify(manifests.load(s3_root, "users"))


def test_the_newest_checkpoint_is_found_and_older_ones_go(s3_root: RemotePath) -> None:
    for step in range(4):
        checkpoint.save(s3_root, step, Checkpoint([], [], {"step": step}), keep=2)
    assert checkpoint.load_latest(s3_root) == (3, Checkpoint([], [], {"step": 3}))
    assert len(storage.children(s3_root)) == 2


def test_a_storage_that_refuses_is_told_in_one_line(s3_server: str) -> None:
    with pytest.raises(
        StorageError,
        match=r"s3://no-such-bucket/a: .*NO_SUCH_BUCKET.*; check the network, the credentials",
    ):
        storage.replace_file(storage.locate("s3://no-such-bucket/a"), b"1")


def test_a_storage_that_does_not_answer_ends_the_command_in_one_line(
    s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    program = [
        sys.executable,
        "-c",
        "from emberline.cli.main import main; main()",
        "verify",
        "s3://shop/users",
    ]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert (
        done.stderr.startswith("emberline: error: s3://shop/")
        and len(done.stderr.splitlines()) == 1
    )


def test_a_process_forked_beside_an_open_connection_ends(
    s3_root: RemotePath, tmp_path: Path
) -> None:
    """As Spark's Python workers are."""
    program = f"""
import os
from emberline.datasets import storage
place = storage.locate({str(s3_root)!r}) / "x"
storage.replace_file(place, b"1")
if os.fork() == 0:
    raise SystemExit(0)
assert os.wait()[1] == 0
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
