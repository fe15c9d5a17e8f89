"""Places that a run writes to."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from emberline.datasets.remote import RemotePath
from emberline.doctor.places import (
    check_checkpoints,
    check_native_code,
    check_root,
    check_temporary,
    filesystem_of,
    mount_flags,
)
from emberline.sections.spark import SparkConfig

MOUNTS = """22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 22 0:50 / /data rw,relatime shared:3 - nfs4 server:/export rw,vers=4.2
41 22 0:51 / /data/scratch rw - tmpfs tmpfs rw
"""


def test_a_root_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "not" / "there"):
        assert check_root(root, 0).state in ("ok", "warning")
        assert not list(tmp_path.iterdir())


def test_work_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "_work").mkdir()
    (tmp_path / "_work" / "step.npz").touch()
    check_root(tmp_path, 0)
    assert [path.name for path in (tmp_path / "_work").iterdir()] == ["step.npz"]


def test_a_root_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    check = check_root(tmp_path / "file" / "root", 0)
    assert (check.state, check.found) == (
        "error",
        f"{tmp_path}/file/root cannot be written: Not a directory",
    )
    assert "--root" in check.remedy


def test_a_read_only_place_is_an_error() -> None:
    assert check_root(Path("/proc/emberline"), 0).state == "error"


def test_a_bucket_that_can_be_written_is_left_without_a_file(s3_root: RemotePath) -> None:
    check = check_root(s3_root, 1 << 60)
    assert (check.state, check.found) == ("ok", f"{s3_root}: writable")
    assert s3_root.files() == []


def test_a_bucket_that_is_not_there_is_an_error(s3_root: RemotePath) -> None:
    check = check_root(replace(s3_root, authority="no-such-bucket"), 0)
    assert check.state == "error"
    assert check.found.startswith("s3://no-such-bucket/runs/nightly cannot be written: ")


def test_input_larger_than_the_free_space_is_a_warning(tmp_path: Path) -> None:
    assert check_root(tmp_path, 1 << 60).state == "warning"


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTS, encoding="utf-8")
    return path


def test_the_file_system_is_that_of_the_innermost_mount(mounts: Path) -> None:
    kinds = [
        filesystem_of(Path(place), mounts)
        for place in ("/srv/x", "/data", "/data/run/1", "/data/scratch/y", "/database")
    ]
    assert kinds == ["ext4", "nfs4", "nfs4", "tmpfs", "ext4"]
    assert filesystem_of(Path("/srv"), Path("/no/such/file")) is None


def test_a_cluster_needs_a_root_that_its_workers_share(mounts: Path) -> None:
    cluster = SparkConfig(master="spark://host:7077")
    assert check_checkpoints(Path("/data/run"), cluster, mounts).state == "ok"
    check = check_checkpoints(Path("/srv/run"), cluster, mounts)
    assert check.state == "warning"
    assert (
        check.found == "/srv/run/_work is on a disk of this machine (ext4), but spark.master is"
        " spark://host:7077"
    )
    assert check_checkpoints(Path("/srv/run"), SparkConfig(), mounts).state == "ok"


def test_workers_share_a_bucket(s3_root: RemotePath) -> None:
    assert check_checkpoints(s3_root, SparkConfig(master="yarn")).state == "ok"


def test_sparks_temporary_files_are_where_spark_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = SparkConfig(conf={"spark.local.dir": f"{tmp_path},{tmp_path}/file/below"})
    assert [check.state != "error" for check in check_temporary(told, {})[:2]] == [True, False]
    from_environment = check_temporary(told, {"SPARK_LOCAL_DIRS": str(tmp_path)})
    assert from_environment[0].found.startswith(f"{tmp_path}: writable")
    assert not any(check.state == "error" for check in from_environment)


def test_java_cannot_load_native_code_from_where_nothing_may_be_executed() -> None:
    flags = os.ST_NOSUID | os.ST_NOEXEC
    (check,) = check_native_code(SparkConfig(), Path("/tmp"), flags)
    assert (check.state, check.name) == ("error", "native code")
    elsewhere = SparkConfig(
        conf={"spark.driver.extraJavaOptions": "-Xss4m -Djava.io.tmpdir=/srv/tmp"}
    )
    assert check_native_code(elsewhere, Path("/tmp"), flags) == []
    assert check_native_code(SparkConfig(), Path("/tmp"), os.ST_NOSUID) == []


def test_a_folder_that_is_not_there_would_be_on_its_parents_mount(tmp_path: Path) -> None:
    assert mount_flags(tmp_path / "not" / "there") == os.statvfs(tmp_path).f_flag
