"""Raw input files: those that a path, a folder or a glob names, and what is passed over."""

import fnmatch
import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import quote

from emberline.datasets.remote import RemotePath
from emberline.datasets.storage import Location, below, locate
from emberline.errors import DataError

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


def extension_of(name: str) -> str:
    """Of a file's name, such as .png; a name without a dot is its own."""
    return "." + name.lower().rpartition(".")[2]


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

    def counted(self) -> str:
        """What was passed over, without any name."""
        return "; ".join(f"{count:,} {kind}" for kind, (count, _) in self.passed_over.items())


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
