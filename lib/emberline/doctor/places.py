"""The places on disk that a run writes to."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from emberline.datasets import storage
from emberline.datasets.prune import WORK
from emberline.datasets.storage import Location
from emberline.doctor.check import Check, error, ok, reason, warning
from emberline.errors import EmberlineError
from emberline.sections.spark import SparkConfig

_LOW = 2 << 30  # bytes; the demo's run writes a tenth of it
_NONE = 64 << 20
JAVA = Path("/tmp")  # its java.io.tmpdir, whatever TMPDIR says
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
_SHARED = (
    "nfs",
    "cifs",
    "smb",
    "ceph",
    "lustre",
    "gluster",
    "gpfs",
    "beegfs",
    "9p",
    "afs",
    "fuse.",
)


def check_root(root: Location, input_size: int) -> Check:
    """Whether a dataset could be written in `root`; a disk should have room for one more copy
    of the input's bytes.
    """
    try:
        with _existing(root / WORK):
            _write_and_read(root / WORK)
    except (OSError, EmberlineError) as refusal:
        return error(
            "root",
            f"{root} cannot be written: {reason(refusal)}",
            "give another place with --root, or make it writable",
        )
    if not isinstance(root, Path):
        return ok("root", f"{root}: writable")
    return _judge_space(
        "root",
        root,
        max(_LOW, input_size),
        "free some, emberline prune the root, or give another with --root",
    )


def _write_and_read(folder: Location) -> None:
    """Raises OSError where a small file does not come back as it was written."""
    storage.refuse_links(folder.parent, folder)
    probe = folder / f"doctor-{uuid.uuid4().hex}"
    try:
        storage.replace_file(probe, probe.name.encode())
        if probe.read_bytes() != probe.name.encode():
            raise OSError("it does not give back what was written")
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def _existing(folder: Location) -> Iterator[None]:
    """The folder is there meanwhile; what did not exist before is removed, unless somebody else
    has put something there.
    """
    if not isinstance(folder, Path):  # an object store makes folders by itself
        yield
        return
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):
            for place in missing:
                place.rmdir()


def _judge_space(name: str, folder: Path, wanted: int, remedy: str) -> Check:
    free = shutil.disk_usage(_nearest(folder)).free
    found = f"{folder}: writable, {free / (1 << 30):.1f} GiB free"
    if free < _NONE:
        return error(name, found, remedy)
    return (
        ok(name, found)
        if free >= wanted
        else warning(name, f"{found}, {wanted / (1 << 30):.1f} wanted", remedy)
    )


def _nearest(folder: Path) -> Path:
    """The folder, or the innermost one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def mount_flags(folder: Path) -> int:
    """The flags of the mount that a folder is on, or would be."""
    return os.statvfs(_nearest(folder)).f_flag


def check_checkpoints(
    root: Location, config: SparkConfig, mounts: Path = Path("/proc/self/mountinfo")
) -> Check:
    """Where work in progress is kept: with workers on other machines it must be a place that
    they all share.
    """
    place = root / WORK
    if config.master.startswith("local") or not isinstance(place, Path):
        return ok("checkpoints", str(place))
    kind = filesystem_of(place, mounts)
    if kind is not None and kind.startswith(_SHARED):
        return ok("checkpoints", f"{place}, on {kind}")
    found = (
        f"{place} is on a disk of this machine{f' ({kind})' if kind else ''}, but spark.master is"
        f" {config.master}"
    )
    return warning(
        "checkpoints",
        found,
        "give a --root that all workers have under this very path, such as an NFS folder",
    )


def filesystem_of(place: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """The kind of file system, such as ext4 or nfs4; None where the system does not say it."""
    if not mounts.is_file():
        return None
    kinds = {}
    for line in mounts.read_text(encoding="utf-8").splitlines():
        mount, _, source = line.partition(" - ")
        kinds[mount.split()[4]] = source.split()[0]
    resolved = place.resolve()
    return next(
        (kinds[str(folder)] for folder in (resolved, *resolved.parents) if str(folder) in kinds),
        None,
    )


def check_temporary(config: SparkConfig, environment: Mapping[str, str]) -> list[Check]:
    """The folders for what does not fit into memory: Spark's, which is not TMPDIR's, and
    Python's.
    """
    told = environment.get("SPARK_LOCAL_DIRS") or config.conf.get("spark.local.dir")
    folders = told.split(",") if told else [str(JAVA)]
    checks = [
        _check_folder("Spark's temporary files", Path(folder), 'spark.conf."spark.local.dir"')
        for folder in folders
    ]
    try:
        python = Path(tempfile.gettempdir())
    except FileNotFoundError as refusal:
        return [
            *checks,
            error(
                "temporary files",
                str(refusal.strerror),
                "set TMPDIR to a folder that can be written",
            ),
        ]
    return (
        checks
        if str(python) in folders
        else [*checks, _check_folder("temporary files", python, "TMPDIR")]
    )


def _check_folder(name: str, folder: Path, setting: str) -> Check:
    remedy = f"set {setting} to a folder with room"
    try:
        with _existing(folder), tempfile.TemporaryFile(dir=folder):
            return _judge_space(name, folder, _LOW, remedy)
    except OSError as refusal:
        return error(name, f"{folder} cannot be written: {refusal.strerror}", remedy)


def check_native_code(config: SparkConfig, folder: Path, mount_flags: int) -> list[Check]:
    """A line where Java cannot load snappy and zstd: it unpacks their native code into a
    `folder` that is mounted noexec.
    """
    if "-Djava.io.tmpdir" in config.conf.get(_JAVA_OPTIONS, "") or not mount_flags & getattr(
        os, "ST_NOEXEC", 0
    ):
        return []
    remedy = (
        f'set spark.conf."{_JAVA_OPTIONS}" to -Djava.io.tmpdir=FOLDER, on a mount without noexec'
    )
    return [
        error(
            "native code",
            f"{folder} is mounted noexec: Java cannot load its compression from there",
            remedy,
        )
    ]
