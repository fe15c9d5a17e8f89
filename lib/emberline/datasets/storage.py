"""The few file operations that datasets need, on a path or a URI of any storage that Emberline
knows.

| URI | is read and written by | and by Spark as |
|---|---|---|
| a plain path, `file://` | Python | `file://` |
| `s3://`, `s3a://` | pyarrow | `s3a://` |
| `gs://` | pyarrow | `gs://` |
| `hdfs://` | pyarrow, by Hadoop's libhdfs | `hdfs://` |
"""

import fnmatch
import glob
import io
import mmap
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from pyarrow import fs as arrow_fs

from emberline.datasets.remote import SPARK_SCHEMES, RemotePath
from emberline.errors import ConfigError, DataError, StorageError
from emberline.logs import public

Location = Path | RemotePath
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
_HADOOP_GLOB = re.compile(r"([\\*?\[\]{},])")
_ALIASES = {"s3a": "s3"}
_SPARKS = re.compile(
    r"_SUCCESS|_temporary|_committed_.*|_started_.*|_metadata|_common_metadata|.*\._COPYING_"
)


@dataclass(frozen=True)
class RawFile:
    """One input file: its URI or plain path, its path below the input folder, its bytes, and
    its last change, in nanoseconds.
    """

    uri: str
    relative: str
    size: int
    modified: int

    @property
    def path(self) -> Location:
        """Made when it is asked for: of 100,000 files that workers read, nobody asks."""
        return locate(self.uri)

    @property
    def name(self) -> str:
        return self.relative.rpartition("/")[2]


def locate(uri: str | Location) -> Location:
    """What a plain path, made absolute, or a URI names. Raises ConfigError for a scheme that is
    not supported.
    """
    text = str(uri)
    if not _SCHEME.match(text):
        return _at_home(text).absolute()
    scheme, _, path = text.partition("://")
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    if scheme in SPARK_SCHEMES:
        return _remote(scheme, path)
    if scheme != "file":
        raise ConfigError(
            f"scheme {scheme}:// is not supported (supported: a plain path, file://, s3://, s3a://,"
            f" gs://, hdfs://); found {public(text)}"
        )
    if not path.startswith("/"):
        raise ConfigError(
            f"{text}: a file URI has three slashes and an absolute path: file:///{path}"
        )
    return Path(unquote(path, errors="surrogateescape"))


def _at_home(text: str) -> Path:
    """A path, with its `~` put in the place of a home folder. Raises ConfigError where there is
    none.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{text}: there is no such home folder; write ./{text} for a file of this name"
        ) from None


def _remote(scheme: str, path: str) -> RemotePath:
    """Raises ConfigError where the bucket is missing, and, without saying them again, for
    credentials.
    """
    authority, _, key = path.partition("/")
    if "@" in authority:
        raise ConfigError(
            f"{scheme}://: a URI does not hold credentials; give them to the environment, as AWS's"
            " own tools read them"
        )
    if not authority:
        raise ConfigError(
            f"{scheme}://{path}: expected"
            f" {scheme}://{'NAME-NODE:PORT' if scheme == 'hdfs' else 'BUCKET'}/FOLDER"
        )
    if ".." in PurePosixPath(key).parts:
        raise ConfigError(f"{scheme}://{path}: .. has no meaning there")
    return RemotePath(scheme, authority, PurePosixPath("/") / key.lstrip("/"))


@dataclass(frozen=True)
class Listing:
    """The data files that a setting names, by path, and what was passed over: how many of each
    kind, with one of them.
    """

    files: list[RawFile]
    passed_over: dict[str, tuple[int, str]]

    def __str__(self) -> str:
        return "; ".join(
            f"{count:,} {kind} ({name})" for kind, (count, name) in self.passed_over.items()
        )


def list_files(uri: str | Location, root: Location | None = None) -> list[RawFile]:
    """The files of `survey`."""
    return survey(uri, root).files


def survey(uri: str | Location, root: Location | None = None) -> Listing:
    """The files that a path, a folder (all levels, also behind links) or a glob names, sorted, but
    for those below `root`.

    Hidden names, those that Spark gives to what is no data, links to nowhere, and links to folders
    that are read anyway are passed over, and told. Raises DataError where there is no file, or a
    folder cannot be listed.
    """
    location, passed = locate(uri), _PassedOver()
    if isinstance(location, Path):
        found = _list_local(location, root if isinstance(root, Path) else None, passed)
    else:
        found = _list_remote(location, root if isinstance(root, RemotePath) else None, passed)
    if found is None:
        raise DataError(
            f"{location} does not exist; put the data there, or set the path to where it is"
        )
    listing = Listing(sorted(found, key=lambda file: file.relative), passed.told)
    if not found:
        raise DataError(
            f"{location} holds no files"
            + (f", but what is passed over: {listing}" if passed.told else "")
        )
    return listing


class _PassedOver:
    """Counts what is not read, by kind."""

    def __init__(self) -> None:
        self.told: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, name: str) -> None:
        count, first = self.told.get(kind, (0, name))
        self.told[kind] = (count + 1, first)

    def is_data(self, name: str) -> bool:
        """Whether a name is one of data; counted where it is not."""
        kind = _kind_of_name(name)
        if kind:
            self.add(kind, shown(name))
        return not kind


def _kind_of_name(name: str) -> str:
    """What a file or folder is by its name, if no data."""
    if name.startswith("."):
        return "hidden"
    return "of Spark's own" if _SPARKS.fullmatch(name) else ""


def shown(name: str) -> str:
    """A name with those bytes escaped that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _uri_of(path: str) -> str:
    """A path as RawFile has it: as it is, or, where its bytes are not UTF-8, as a URI."""
    return path if path == shown(path) else "file://" + quote(os.fsencode(path))


def _list_local(path: Path, root: Path | None, passed: _PassedOver) -> list[RawFile] | None:
    if path.is_file():
        return [_raw_file(path, path.parent)]
    if path.is_dir():
        return list(_walk(path, root, passed))
    if not glob.has_magic(str(path)):
        return None
    base, found = Path(_base_of_glob(path)), map(Path, glob.iglob(str(path), recursive=True))
    files = [
        p for p in found if p.is_file() and all(map(passed.is_data, p.relative_to(base).parts))
    ]
    return [_raw_file(p, base) for p in files if not _is_below(p, root, passed)]


def _is_below(path: Path, root: Path | None, passed: _PassedOver) -> bool:
    found = root is not None and path.is_relative_to(root)
    if found:
        passed.add("of this run's own root", shown(str(path)))
    return found


def _walk(base: Path, root: Path | None, passed: _PassedOver) -> Iterator[RawFile]:
    """The data files below a folder; by text, in half the time that pathlib takes, which counts
    with 100,000 of them.
    """
    skipped = len(os.path.join(base, ""))  # noqa: PTH118
    read = [os.path.realpath(base)]
    for folder, folders, names in os.walk(base, onerror=_unlisted, followlinks=True):
        folders[:] = [
            name for name in folders if _is_followed(f"{folder}/{name}", read, root, passed)
        ]
        for path in (f"{folder}/{name}" for name in names if passed.is_data(name)):
            try:
                status = os.stat(path)  # noqa: PTH116
            except OSError:
                passed.add("links to nowhere", shown(path))
                continue
            if stat.S_ISREG(status.st_mode):
                yield RawFile(
                    _uri_of(path), shown(path[skipped:]), status.st_size, status.st_mtime_ns
                )


def _is_followed(path: str, read: list[str], root: Path | None, passed: _PassedOver) -> bool:
    """Whether the files of a folder are read: not those of a link to what is below a folder
    that is `read`, or above it.
    """
    if not passed.is_data(path.rpartition("/")[2]) or _is_below(Path(path), root, passed):
        return False
    if os.path.islink(path):  # noqa: PTH114
        target = os.path.realpath(path)
        if any(_is_in(target, folder) or _is_in(folder, target) for folder in read):
            passed.add("links to folders that are read anyway", shown(path))
            return False
        read.append(target)
    return True


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(os.path.join(folder, ""))  # noqa: PTH118


def _unlisted(error: OSError) -> None:
    raise DataError(
        f"{error.filename} cannot be listed: {error.strerror}; its files would be missing"
    )


def _list_remote(
    location: RemotePath, root: RemotePath | None, passed: _PassedOver
) -> list[RawFile] | None:
    if location.is_file():
        status = location.stat()
        return [RawFile(str(location), location.name, status.st_size, status.st_mtime_ns)]
    base, pattern = location, None
    if glob.has_magic(str(location.key)):
        base = RemotePath(
            location.scheme, location.authority, PurePosixPath(_base_of_glob(location.key))
        )
        pattern = location.key.relative_to(base.key).parts
    files = [
        RawFile(str(p), below(p, base), status.st_size, status.st_mtime_ns)
        for p, status in base.files()
    ]
    matching = [f for f in files if pattern is None or _matches(f.relative, pattern)]
    data = [f for f in matching if all(map(passed.is_data, f.relative.split("/")))]
    found = [f for f in data if not _is_below_remote(f, root, passed)]
    return found if found or pattern or location.is_dir() else None


def _is_below_remote(file: RawFile, root: RemotePath | None, passed: _PassedOver) -> bool:
    found = root is not None and _is_in(file.uri, str(root))
    if found:
        passed.add("of this run's own root", file.uri)
    return found


def _matches(relative: str, pattern: Sequence[str]) -> bool:
    """Whether a path below a folder fits a glob, whose `**` stands for any number of folders."""

    def fits(parts: Sequence[str], rest: Sequence[str]) -> bool:
        if not rest:
            return not parts
        if rest[0] == "**":
            return any(fits(parts[i:], rest[1:]) for i in range(len(parts) + 1))
        return bool(parts) and fnmatch.fnmatchcase(parts[0], rest[0]) and fits(parts[1:], rest[1:])

    return fits(relative.split("/"), pattern)


def _base_of_glob(path: PurePath) -> str:
    while glob.has_magic(str(path)):
        path = path.parent
    return str(path)


def _raw_file(path: Path, base: Path) -> RawFile:
    status = path.stat()
    relative = shown(path.relative_to(base).as_posix())
    return RawFile(_uri_of(str(path)), relative, status.st_size, status.st_mtime_ns)


def spark_uri(location: Location) -> str:
    """The name under which Spark writes here; a local path with its scheme, since a bare one
    means a cluster's own storage.
    """
    if isinstance(location, Path):
        return f"file://{location}"
    return f"{SPARK_SCHEMES[location.scheme]}://{location.authority}{location.key}"


def for_spark(location: Location) -> str:
    """The name under which Spark reads exactly this file: what Hadoop would take for a glob is
    escaped.
    """
    return _HADOOP_GLOB.sub(r"\\\1", spark_uri(location))


def for_arrow(location: Location) -> tuple[str, Any]:
    """The path and the file system by which pyarrow reads this file."""
    return (str(location), None) if isinstance(location, Path) else location.for_arrow()


def inside(folder: Location, relative: str) -> Location:
    """`folder / relative`. Raises DataError where that would leave the folder: `relative` may
    come from a file.
    """
    path = PurePosixPath(relative)
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.parts
        or "\0" in relative
        or not _is_encodable(relative)
    ):
        raise DataError(f"{relative!r} does not name a place inside {folder}")
    return folder / relative


def _is_encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def link_on_the_way(folder: Location, locations: Iterable[Location]) -> Path | None:
    """The first of some places below a folder, or of the folders on the way there, that is a
    link.
    """
    seen = {folder}
    for location in locations:
        for path in (location, *location.parents) if isinstance(location, Path) else ():
            if path in seen:
                break
            if path.is_symlink():
                return path
            seen.add(path)
    return None


def children(folder: Location) -> list[Location]:
    """The files and folders in a folder, by name; none where it is not there."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(folder.iterdir(), key=lambda path: path.name)
    return []


def files_below(folder: Location) -> Sequence[Location]:
    """The files in a folder, at all levels, by path."""
    if isinstance(folder, Path):
        return sorted(
            path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()
        )
    return [path for path, _ in folder.files()]


def below(location: Location, folder: Location) -> str:
    """The path from a folder to what is below it, with `/` between the names. Raises ValueError
    for what is elsewhere.
    """
    return PurePosixPath(str(location)).relative_to(PurePosixPath(str(folder))).as_posix()


def last_change(folder: Location) -> float:
    """When a folder, or anything below it, was last changed, in seconds since 1970; of a link,
    when it was made.
    """
    if isinstance(folder, Path):
        below = (
            Path(place) / name
            for place, folders, files in os.walk(folder)
            for name in (*folders, *files)
        )
        return max(path.lstat().st_mtime for path in (folder, *below))
    return max((status.st_mtime for _, status in folder.files()), default=0.0)


def sizes(locations: Iterable[Location]) -> dict[Location, int]:
    """The sizes in bytes of those files that are there; of remote ones by one listing per
    folder.
    """
    found: dict[Location, int] = {}
    folders = {location.parent: None for location in locations if isinstance(location, RemotePath)}
    for folder in folders:
        found |= {path: status.st_size for path, status in folder.files()}
    for location in locations:
        if isinstance(location, Path):
            with suppress(FileNotFoundError):
                status = location.stat()
                if stat.S_ISREG(status.st_mode):
                    found[location] = status.st_size
    return found


def refuse_links(root: Location, *places: Location) -> None:
    """Raises ConfigError where a place in a root, or a folder on the way to it, is a link: it
    may lead anywhere.
    """
    path = link_on_the_way(root, places)
    if path is not None:
        raise ConfigError(
            f"{path} is a link, and links within {root} are not followed; remove it, or put a"
            " folder there"
        )


def make_folder(folder: Location) -> None:
    """Make a folder and those above it; in an object store there is nothing to make."""
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)


def remove_folder(folder: Location) -> None:
    """Remove a folder with all that is in it, as far as that can be done."""
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        with suppress(OSError):
            folder.remove_folder()


def remove_if_empty(folder: Location) -> None:
    """Remove a folder that holds nothing."""
    if isinstance(folder, Path):
        with suppress(OSError):
            folder.rmdir()


def open_input(location: Location) -> Any:
    """A file to read bytes from."""
    return location.open("rb") if isinstance(location, Path) else location.open_input()


@contextmanager
def open_unchanged(uri: str, size: int, modified: int) -> Iterator[Any]:
    """An input file to read bytes from, closed by `with`; of the size, and here of the time of
    change, that it was listed with.

    Raises DataError where it is not, before or after it is read, and where it cannot be opened.
    """
    location = locate(uri)
    try:
        with open_input(location) as file:
            _check_unchanged(location, file, size, modified)
            yield file
            _check_unchanged(location, file, size, modified)
    except FileNotFoundError as error:
        raise DataError(f"{uri} cannot be read: it is not there any more ({error})") from error
    except StorageError:
        raise
    except OSError as error:
        raise DataError(f"{uri} cannot be read: {error}") from error


def _check_unchanged(location: Location, file: Any, size: int, modified: int) -> None:
    now = file.seek(0, os.SEEK_END)
    changed = isinstance(location, Path) and location.stat().st_mtime_ns != modified
    if now != size or changed:
        raise DataError(
            f"{location} was changed while it was read: it had {size:,} bytes, and has {now:,}; run"
            " it again"
        )
    file.seek(0)


def read_input(path: str) -> bytes:
    """The bytes of an input file. Raises DataError where it cannot be read."""
    try:
        if path.startswith("/"):  # without pathlib, which takes as long as to read a small file
            with open(path, "rb") as file:  # noqa: PTH123
                return file.read()
        content: bytes = locate(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error}): it was changed while it was read, or is damaged"
        ) from error
    return content


def map_input(path: str) -> memoryview:
    """The bytes of an input file, mapped into memory where it is local. Raises DataError where
    it cannot be read.
    """
    location = locate(path)
    if isinstance(location, Path):
        # ValueError: an empty file
        with suppress(OSError, ValueError), location.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return memoryview(read_input(path))


def open_arrow(uri: str) -> Any:
    """A file that pyarrow reads at any place, without a detour through Python where it is
    local. Raises DataError without one.
    """
    path, client = for_arrow(locate(uri))
    try:
        return (client or arrow_fs.LocalFileSystem()).open_input_file(path)
    except OSError as error:
        raise DataError(f"{uri} cannot be read: {' '.join(str(error).split())}") from error


def create(location: Location) -> Any:
    """A new file to write bytes to. Raises FileExistsError where a local one is there."""
    return location.open("xb") if isinstance(location, Path) else location.open_output()


def sync_file(file: Any) -> None:
    """Make what was written survive a power cut; a remote file does when it is closed."""
    with suppress(io.UnsupportedOperation):
        file.flush()
        os.fsync(file.fileno())


def replace_file(location: Location, content: bytes) -> None:
    """Make `content` the whole of a file in one step: a reader finds the old bytes or the new ones,
    also after a crash.

    HDFS's client cannot rename over a file: there, the old one is removed just before, and a crash
    between leaves none.
    """
    if isinstance(location, Path):
        _replace_local(location, content)
    elif location.scheme == "hdfs":
        _replace_by_rename(location, content)
    else:
        location.write_bytes(content)


def _replace_local(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            sync_file(file)
        temporary.replace(path)
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)
            error.add_note(f"{len(content):,} were to be written")
        raise
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def overwrite(location: Location, content: bytes) -> None:
    """Write over the beginning of a text file that is there: what a full disk still allows, where
    the old text is no shorter.

    Not in one step; a longer rest of the old text becomes spaces.
    """
    if isinstance(location, Path):
        with os.fdopen(os.open(location, os.O_WRONLY | os.O_NOFOLLOW), "wb", buffering=0) as file:
            file.write(content.ljust(os.fstat(file.fileno()).st_size))


def _replace_by_rename(location: RemotePath, content: bytes) -> None:
    temporary = location.with_name(f".{location.name}.{uuid.uuid4().hex}")
    temporary.write_bytes(content)
    location.unlink(missing_ok=True)
    temporary.rename(location)


def sync_folder(folder: Location) -> None:
    """Make the names in `folder` survive a power cut."""
    if isinstance(folder, Path):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
