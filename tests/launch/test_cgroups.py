"""Limits of control groups, from files laid out as the kernel lays them out."""

from collections.abc import Mapping
from pathlib import Path

from emberline.launch.cgroups import Limits, read_limits


def _limits(folder: Path, membership: str, files: Mapping[str, str]) -> Limits:
    for name, content in files.items():
        file = folder / "mount" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n", encoding="ascii")
    (folder / "self").write_text(membership, encoding="ascii")
    return read_limits(folder / "self", folder / "mount")


def test_version_2_says_memory_and_quota(tmp_path: Path) -> None:
    files = {"job/memory.max": "1073741824", "job/cpu.max": "150000 100000"}
    assert _limits(tmp_path, "0::/job\n", files) == Limits(1 << 30, 1.5)


def test_the_tightest_group_around_holds(tmp_path: Path) -> None:
    files = {
        "memory.max": "max",
        "slice/memory.max": "2147483648",
        "slice/job/memory.max": "max",
        "slice/cpu.max": "400000 100000",
        "slice/job/cpu.max": "200000 100000",
        "other/memory.max": "1",
    }
    assert _limits(tmp_path, "0::/slice/job\n", files) == Limits(2 << 30, 2.0)


def test_no_limit_is_none(tmp_path: Path) -> None:
    assert _limits(tmp_path, "0::/\n", {"memory.max": "max", "cpu.max": "max 100000"}) == Limits()


def test_version_1_has_a_tree_for_each_controller(tmp_path: Path) -> None:
    files = {
        "memory/docker/abc/memory.limit_in_bytes": "3221225472",
        "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "50000",
        "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
    }
    membership = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n"
    assert _limits(tmp_path, membership, files) == Limits(3 << 30, 0.5)


def test_version_1_says_no_limit_by_a_huge_number_and_by_minus_one(tmp_path: Path) -> None:
    files = {
        "memory/memory.limit_in_bytes": "9223372036854771712",
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
    }
    assert _limits(tmp_path, "2:memory:/\n1:cpu:/\n", files) == Limits()


def test_in_a_container_the_mounts_root_is_the_group_itself(tmp_path: Path) -> None:
    files = {"memory/memory.limit_in_bytes": "1048576"}
    assert _limits(tmp_path, "4:memory:/docker/not-visible-from-inside\n", files) == Limits(
        1 << 20, None
    )


def test_a_system_without_control_groups_has_no_limits(tmp_path: Path) -> None:
    assert read_limits(tmp_path / "none", tmp_path / "none") == Limits()
