"""The few file operations that datasets need, on a path or a URI of any storage that Emberline
knows.

| URI | is read and written by | and by Spark as |
|---|---|---|
| a plain path, `file://` | Python | `file://` |
| `s3://`, `s3a://` | pyarrow | `s3a://` |
| `gs://` | pyarrow | `gs://` |
| `hdfs://` | pyarrow, by Hadoop's libhdfs | `hdfs://` |
"""

import io
import os
import re
import shutil
import stat
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from emberline.datasets.remote import SPARK_SCHEMES, RemotePath
from emberline.errors import ConfigError, DataError
from emberline.logs import public

Location = Path | RemotePath
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]+://")
_HADOOP_GLOB = re.compile(r"([\\*?\[\]{},])")
_ALIASES = {"s3a": "s3"}


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
