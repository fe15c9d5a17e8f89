"""A file or folder in an object store or in HDFS: the part of `pathlib.Path` that Emberline
uses, through pyarrow's clients.
"""

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

import pyarrow as pa
from pyarrow import fs as arrow_fs

from emberline.errors import ConfigError, StorageError

# How pyarrow's clients read what a URI names, and what Spark's connectors call the same scheme.
SPARK_SCHEMES = {"s3": "s3a", "gs": "gs", "hdfs": "hdfs"}


class Stat(NamedTuple):
    """What `os.stat` calls the size in bytes and the time of the last change, here in
    nanoseconds, too.
    """

    st_size: int
    st_mtime_ns: int

    @property
    def st_mtime(self) -> float:
        return self.st_mtime_ns / 1e9


P = ParamSpec("P")
R = TypeVar("R")


def _explained(
    method: Callable[Concatenate["RemotePath", P], R],
) -> Callable[Concatenate["RemotePath", P], R]:
    """The method, raising StorageError for what is neither done nor a missing file."""

    @functools.wraps(method)
    def call(self: "RemotePath", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except (FileNotFoundError, StorageError):
            raise
        except OSError as error:
            raise StorageError(
                f"{self}: {error}; check the network, the credentials and the endpoint"
            ) from error

    return call


@dataclass(frozen=True)
class RemotePath:
    """`<scheme>://<authority>/<key>`: the authority is a bucket, or HDFS's name node; picklable,
    and cheap to make.

    Methods raise FileNotFoundError for what is not there, StorageError for what the storage refuses
    or cannot do.
    """

    scheme: str
    authority: str
    key: PurePosixPath

    def __str__(self) -> str:
        return (
            f"{self.scheme}://{self.authority}{'' if self.key == PurePosixPath('/') else self.key}"
        )

    def __truediv__(self, name: str) -> "RemotePath":
        return replace(self, key=self.key / name)

    @property
    def name(self) -> str:
        return self.key.name or self.authority

    @property
    def suffix(self) -> str:
        return self.key.suffix

    @property
    def parent(self) -> "RemotePath":
        return replace(self, key=self.key.parent)

    def with_name(self, name: str) -> "RemotePath":
        return replace(self, key=self.key.with_name(name))

    def exists(self) -> bool:
        return bool(self._info().type != arrow_fs.FileType.NotFound)

    def is_file(self) -> bool:
        return bool(self._info().type == arrow_fs.FileType.File)

    def is_dir(self) -> bool:
        return bool(self._info().type == arrow_fs.FileType.Directory)

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> Stat:
        info = self._info()
        if info.type == arrow_fs.FileType.NotFound:
            raise FileNotFoundError(f"{self} does not exist")
        return _stat(info)

    @_explained
    def open_input(self) -> pa.NativeFile:
        """A file to read at any place."""
        return self._client.open_input_file(self._path)

    @_explained
    def open_output(self) -> pa.NativeFile:
        """A new file; an object store shows it when it is closed, whole."""
        return self._client.open_output_stream(self._path)

    def for_arrow(self) -> tuple[str, Any]:
        """The path and the file system by which pyarrow's own readers know this."""
        return self._path, self._client

    @_explained
    def read_bytes(self) -> bytes:
        with self.open_input() as file:
            return bytes(file.read())

    @_explained
    def write_bytes(self, content: bytes) -> None:
        with self.open_output() as file:
            file.write(content)

    @_explained
    def unlink(self, missing_ok: bool = False) -> None:
        try:
            self._client.delete_file(self._path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    @_explained
    def rename(self, target: "RemotePath") -> None:
        self._client.move(self._path, target._path)

    @_explained
    def remove_folder(self) -> None:
        """Remove the folder and all that is in it, where it is there."""
        if self.is_dir():
            self._client.delete_dir(self._path)

    def iterdir(self) -> Iterator["RemotePath"]:
        return (path for path, _ in self.listing(recursive=False))

    @_explained
    def listing(self, recursive: bool = True) -> list[tuple["RemotePath", Stat]]:
        """All files and folders below this one, by name; empty where it is not there. One
        request for up to 1,000 of them.
        """
        selector = arrow_fs.FileSelector(self._path, recursive=recursive, allow_not_found=True)
        infos = sorted(self._client.get_file_info(selector), key=lambda info: info.path)
        return [(self._below(info.path), _stat(info)) for info in infos]

    def files(self) -> list[tuple["RemotePath", Stat]]:
        """The files below this folder, at all levels."""
        return [(path, stat) for path, stat in self.listing() if stat.st_size >= 0]

    @property
    def _client(self) -> Any:
        return _client(self.scheme, self.authority)

    @property
    def _path(self) -> str:
        """The name that pyarrow's client knows this by."""
        return str(self.key) if self.scheme == "hdfs" else f"{self.authority}{self.key}".rstrip("/")

    def _below(self, path: str) -> "RemotePath":
        return replace(self, key=PurePosixPath("/" + path.removeprefix(self.authority).lstrip("/")))

    @_explained
    def _info(self) -> Any:
        return self._client.get_file_info(self._path)


def _stat(info: Any) -> Stat:
    """Folders have a size of -1."""
    is_file = info.type == arrow_fs.FileType.File
    return Stat(info.size if is_file else -1, info.mtime_ns or 0)


@functools.cache
def _client(scheme: str, authority: str) -> Any:
    """The client of one bucket or name node. Raises ConfigError where it cannot be made, as
    without Hadoop's libraries.
    """
    try:
        match scheme:
            case "s3":
                return _s3(authority)
            case "gs":
                return arrow_fs.GcsFileSystem()
            case _:
                return arrow_fs.FileSystem.from_uri(f"hdfs://{authority}/")[0]
    except (OSError, pa.ArrowException, ImportError) as error:
        raise ConfigError(f"{scheme}://{authority} cannot be opened: {error}") from error


def _s3(bucket: str) -> Any:
    """Credentials come from where AWS's own tools look; an endpoint of one's own from
    AWS_ENDPOINT_URL.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not (endpoint or region):
        region = arrow_fs.resolve_s3_region(bucket)
    # Small files are one request instead of three, and nothing is sent before a file is closed or
    # fills a part.
    return arrow_fs.S3FileSystem(
        endpoint_override=endpoint or None, region=region or "us-east-1", allow_delayed_open=True
    )
