"""A published dataset as a folder: downloaded, checked, unpacked, and put in its place whole or not
at all.

Below the folder `to`, a dataset is worked on in a hidden folder of its own, which a fetch that was
killed leaves behind, and from which the next one goes on. A file that somebody has put into `to` by
hand is taken instead of a download.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emberline.datasets import storage
from emberline.errors import ConfigError, DataError, EmberlineError
from emberline.fetch import address as addresses
from emberline.fetch.address import Address
from emberline.fetch.catalogue import PublishedFile, Source
from emberline.fetch.download import PAUSES, Listener, check, download
from emberline.fetch.unpack import unpack


def fetch(
    source: Source,
    to: Path,
    listener: Listener,
    mirror: str | None = None,
    force: bool = False,
    pauses: Sequence[float] = PAUSES,
) -> Path:
    """The dataset's folder below `to`, fetched unless it is there; `mirror` is a base URL to use
    instead of the publisher's.

    Raises ConfigError where something else is in its place, or the disk is too small,
    UnreachableError where the server cannot be reached, and DataError for files that are not those
    which were published.
    """
    target = to / source.folder
    address = addresses.parse(mirror) if mirror is not None else Address(source.base)
    if not force and _is_there(source, target):
        listener.say(
            f"{source.name} is in {target} already, and complete; --force fetches it again."
        )
        return target
    try:
        with _work_folder(source, to) as work:
            desk = _Desk(source, to, work)
            desk.check_space()
            _introduce(source, address, listener)
            files = [desk.obtain(file, address, listener, pauses) for file in source.files]
            _replace(target, _assemble(source, files, work), work / "old")
    except OSError as error:
        place = error.filename or to
        raise ConfigError(
            f"{place} cannot be written: {error.strerror}; choose another folder by --to"
        ) from None
    return target


def _is_there(source: Source, target: Path) -> bool:
    """Whether the dataset is there. Raises ConfigError for another one, which is not ours to
    replace.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    problem = _problem(source, target)
    if problem:
        raise ConfigError(
            f"{target} is there but is not {source.name}: {problem}; move it away, or replace it by"
            " --force"
        )
    return True


def _problem(source: Source, folder: Path) -> str | None:
    """What a folder lacks to be the dataset."""
    for name, size in source.holds.items():
        path = folder / name
        if not path.is_file():
            return f"it has no file {name}"
        if size not in (None, path.stat().st_size):
            return f"{name} has {path.stat().st_size:,} bytes, expected {size:,}"
    return None


@contextmanager
def _work_folder(source: Source, to: Path) -> Iterator[Path]:
    """The dataset's hidden folder, for this process alone; it is removed when all has gone
    well. Raises ConfigError.
    """
    work = to / f".{source.folder}.fetch"
    storage.refuse_links(to, work)
    work.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        _lock(descriptor, source, to)
        storage.refuse_links(work, *storage.children(work))
        try:
            yield work
            shutil.rmtree(work)
        finally:
            storage.remove_if_empty(work)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, source: Source, to: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"another process is fetching {source.name} into {to}; wait until it has ended"
        ) from None


def _introduce(source: Source, address: Address, listener: Listener) -> None:
    licence = source.licence
    listener.say(
        f"{source.name}: {sum(file.bytes for file in source.files):,} bytes from {address.url}"
    )
    listener.say(f"Licence: {licence.name}. {licence.terms}")
    listener.say(f"         {licence.url}")
    listener.say(f"Cite:    {licence.citation}")


@dataclass(frozen=True)
class _Desk:
    """Where a dataset's published files come together: in `to`, put there by hand, or in the
    work folder.
    """

    source: Source
    to: Path
    work: Path

    def check_space(self) -> None:
        """Raises ConfigError where the disk cannot hold what is still to be downloaded, and
        what comes out of it.
        """
        needed = self.source.unpacked + sum(self._missing_bytes(file) for file in self.source.files)
        free = shutil.disk_usage(self.to).free
        if needed > free:
            raise ConfigError(
                f"{self.source.name} takes {needed:,} bytes more, and {self.to} has {free:,} free; "
                "make room, or choose another folder by --to"
            )

    def _missing_bytes(self, file: PublishedFile) -> int:
        if self._here(file):
            return 0
        part = self.work / f"{file.name}.part"
        return file.bytes - part.stat().st_size if part.exists() else file.bytes

    def _here(self, file: PublishedFile) -> Path | None:
        """The whole file, if it is here."""
        return next(
            (path for path in (self.to / file.name, self.work / file.name) if path.exists()), None
        )

    def obtain(
        self, file: PublishedFile, address: Address, listener: Listener, pauses: Sequence[float]
    ) -> Path:
        """The file, checked: put here by hand, downloaded before, or downloaded now."""
        here = self._here(file)
        try:
            if here is None:
                return download(file, address, self.work, listener, pauses)
            check(here, file, str(here))
        except EmberlineError as error:
            raise type(error)(f"{error}; {self._advice(here)}") from None
        listener.say(f"{file.name}: taken from {here}")
        return here

    def _advice(self, wrong: Path | None) -> str:
        """What to do where a download is impossible, or a file that is here is not the right
        one.
        """
        if wrong:
            return "remove it, and run this again"
        urls = " and ".join(
            f"{self.source.base}/{file.name}" for file in self.source.files if not self._here(file)
        )
        return f"by hand: download {urls}, put it into {self.to}, and run this again"


def _assemble(source: Source, files: Sequence[Path], work: Path) -> Path:
    """The dataset's folder as it is to be, complete, within the work folder."""
    new = work / "new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    if source.top:
        unpack(files[0], source.top, new, source.unpacked)
    else:
        for path in files:
            shutil.copyfile(path, new / path.name)
    problem = _problem(source, new)
    if problem:
        raise DataError(f"{files[0].name} does not hold {source.name}: {problem}")
    return new


def _replace(target: Path, new: Path, old: Path) -> None:
    """Puts the new folder in the target's place; what was there stays whole until then."""
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    new.rename(target)
    storage.sync_folder(target.parent)
