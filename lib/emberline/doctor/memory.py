"""Memory: what there is for a run, beside what it asks for."""

import re
from pathlib import Path

from emberline.datasets.sharding import GROUP_BYTES
from emberline.doctor.check import Check, error, ok, warning
from emberline.launch import memory
from emberline.launch.memory import gib
from emberline.sections.config import Config
from emberline.sections.spark import SparkConfig

# What a run takes beside the heap of Spark's driver, in bytes.
_JVM = 400 << 20  # code, threads, network buffers
# each Python worker of Spark: 90 MiB of imports, and a few batches of 64 MiB at most
_WORKER = 256 << 20
_TENSORFLOW = 640 << 20  # its import; the trainer's cache of row groups comes on top
_SIZE = re.compile(r"(\d+)([kmgt]?)b?", re.IGNORECASE)
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB", re.MULTILINE)


def check_memory(config: Config, engines: set[str], cores: int, limit: int | None) -> Check:
    """The machine's memory, or the control group's `limit` in bytes, beside the needs of the
    engines that run.
    """
    heap = driver_heap(config.spark)
    if heap is None:
        given = config.spark.conf["spark.driver.memory"]
        return error(
            "memory", f"spark.driver.memory = {given!r} is not a size", "write it as 2g or 1500m"
        )
    if "spark" not in engines:
        heap = 0
    total, place = memory.limit(limit)
    return judge_memory(total, place, available_memory(), heap, need(config, engines, cores, heap))


def judge_memory(total: int, place: str, available: int | None, heap: int, needed: int) -> Check:
    """The verdict on `total` bytes in a `place`, of which `available` are free now where that
    is known.
    """
    found = f"{gib(total)} {place}, a run needs up to {gib(needed)}"
    lower = "set spark.driver_memory lower"
    if total < heap:
        return error(
            "memory", f"{found}: less than the heap of Spark's driver ({gib(heap)})", lower
        )
    if total < needed:
        return warning(
            "memory",
            found,
            f"{lower}, or spark.master to fewer cores (local[2]), or cnn.input.pool lower",
        )
    if available is not None and available < needed:
        return warning(
            "memory",
            f"{found}, {gib(available)} are free now",
            "end what takes the rest, or wait for it",
        )
    return ok("memory", found)


def need(config: Config, engines: set[str], cores: int, heap: int) -> int:
    """Bytes that a run takes at most, roughly: Spark is still there while TensorFlow trains."""
    is_local = config.spark.master.startswith("local")
    spark = heap + _JVM + (cores * _WORKER if is_local else 0) if "spark" in engines else 0
    cnn = config.cnn
    pools = 2 * cnn.input.streams * cnn.input.pool * GROUP_BYTES if cnn else 0
    return spark + (
        _TENSORFLOW * (cnn.team.workers if cnn else 1) + pools if "tensorflow" in engines else 0
    )


def driver_heap(config: SparkConfig) -> int | None:
    """The heap of Spark's driver in bytes; None where its setting is not a size."""
    size = _SIZE.fullmatch(config.conf.get("spark.driver.memory", config.driver_memory).strip())
    return (
        int(size[1]) << {"k": 10, "": 20, "m": 20, "g": 30, "t": 40}[size[2].lower()]
        if size
        else None
    )


def available_memory(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that a new process can get without swapping; None where the system does not say it."""
    if not meminfo.is_file():
        return None
    found = _AVAILABLE.search(meminfo.read_text(encoding="ascii"))
    return int(found[1]) << 10 if found else None
