"""People forgotten in a root: it is made anew as if they had never been there, and what was there
before is removed.

Each step can be killed and done again: who is to be forgotten, and how things were before, is noted
first (`_forgotten/unfinished.json`); from then on every run leaves their rows out. The note goes
when the receipt is written.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from emberline import stages
from emberline.datasets import lock, released, storage, typed_json
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Accounts
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, DataError, ManifestError
from emberline.logs import event, public
from emberline.privacy import people as listed
from emberline.privacy import receipt as receipts
from emberline.privacy import removal
from emberline.privacy.people import Person
from emberline.privacy.receipt import Receipt, Replaced, Republished
from emberline.privacy.scan import Looked, scan
from emberline.runs import private, runner, tombstones
from emberline.runs.package import code_hash
from emberline.runs.roots import Roots, absolute
from emberline.runs.runner import Listener
from emberline.runs.stage_run import new_run_id
from emberline.runs.tombstones import FOLDER, UNFINISHED, Tombstones
from emberline.sections.artifacts import split_dataset_path
from emberline.sections.config import Config
from emberline.sections.stage import Stage

log = logging.getLogger(__name__)
_ACCOUNTED = ("interactions", "user_attributes")


@dataclass(frozen=True)
class Note:
    """What is being done: a receipt's id, since when, up to which moment rows are left out (in
    microseconds), whom by digest, how manifests were before, and what has been removed so far.
    """

    receipt: str
    begun: str
    until: int
    digests: list[str]
    before: dict[str, str]
    removed: list[str] = field(default_factory=list)
    released: dict[str, list[str]] = field(default_factory=dict)


def forget(
    config: Config,
    root: Location,
    users: str,
    column: str = "user_id",
    folders: Sequence[Location] = (),
    listener: Listener | None = None,
) -> tuple[Receipt, Location]:
    """Forget the users whom a file lists, in a root that the pipeline makes, and in the folders
    that it is published to. Returns the receipt, and where it is.

    Raises ConfigError before anything is changed where that cannot be done whole, DataError where
    an id is found in the end.
    """
    roots, todo = Roots.of(config, root), stages.in_pipeline(config)
    _check(config, roots, folders)
    people = listed.read(config, users, column)
    note = _begin(roots, people)
    runner.run(config, root, todo, listener)
    note = _noting(root, note, removed=removal.remove(root, config, todo))
    for folder in folders:
        release, gone = removal.replace_releases(root, folder)
        note = _noting(root, note, folder=str(folder), released=[release, *gone])
    receipt = _receipt(config, roots, todo, note, people).sealed()
    place = receipts.write(root, receipt)
    (root / FOLDER / UNFINISHED).unlink()
    log.info(event("forgotten", receipt=receipt.receipt, people=len(people)))
    return receipt, place


def _check(config: Config, roots: Roots, folders: Sequence[Location]) -> None:
    """Raises ConfigError where forgetting would not be whole."""
    private.check(config, roots)
    if not manifests.names(roots.root):
        raise ConfigError(f"{roots.root} has no datasets: give the root that the pipeline made")
    if config.als and not config.als.iterations:
        raise ConfigError(
            "als.iterations = 0 keeps factors that were learnt from those who are to be forgotten:"
            " set als.iterations for this command"
        )
    for folder in folders:
        release = released.current(folder)
        if release is None:
            raise ConfigError(f"{folder} has no releases: leave it out of --releases")
        if absolute(storage.locate(release.source)) != absolute(roots.root):
            raise ConfigError(
                f"the release in {folder} was published from {release.source}, not from"
                f" {roots.root}: give that root, or leave the folder out"
            )


def _begin(roots: Roots, people: Sequence[Person]) -> Note:
    """Note what is to be done, and have every run obey it from now on."""
    root = roots.root
    with lock.hold(root):
        storage.refuse_links(root, root / FOLDER)
        before = tombstones.read(root) or Tombstones.fresh()
        unfinished = _unfinished(root)
        until = unfinished.until if unfinished else _micros(datetime.now(UTC))
        new = listed.tombstones_of(roots, people, before, until)
        digests = {one.digest for one in new} | set(unfinished.digests if unfinished else ())
        note = Note(
            unfinished.receipt if unfinished else new_run_id(),
            unfinished.begun if unfinished else _now(),
            until,
            sorted(digests),
            unfinished.before if unfinished else dict(removal.hashes_of(root)),
            unfinished.removed if unfinished else [],
            unfinished.released if unfinished else {},
        )
        storage.make_folder(root / FOLDER)
        # the salt, by which the note speaks of people; then the note, so that no run continues
        # from what was learnt from them; then their tombstones
        tombstones.write(root, before)
        _write(root, note)
        tombstones.write(root, before.with_more(new))
    return note


def _unfinished(root: Location) -> Note | None:
    path = root / FOLDER / UNFINISHED
    if not path.is_file():
        return None
    try:
        return typed_json.build(Note, typed_json.read(path))
    except ValueError as error:
        raise ManifestError(
            f"{path} is damaged ({error}): remove it, and forget the same people again"
        ) from error


def _noting(
    root: Location,
    note: Note,
    removed: Sequence[str] = (),
    folder: str = "",
    released: Sequence[str] = (),
) -> Note:
    """The note with what has been removed, also by a run that was killed."""
    every = dict(note.released)
    if folder:
        new, *gone = released
        known = every.get(folder, [])[1:]
        every[folder] = [new, *sorted({*known, *gone} - {new})]
    content = asdict(note) | {
        "removed": sorted({*note.removed, *removed}),
        "released": every,
    }
    more = Note(**content)
    _write(root, more)
    return more


def _write(root: Location, note: Note) -> None:
    storage.replace_file(root / FOLDER / UNFINISHED, json.dumps(asdict(note), indent=1).encode())


def _receipt(
    config: Config, roots: Roots, todo: Sequence[Stage], note: Note, people: Sequence[Person]
) -> Receipt:
    root, texts = roots.root, {text for person in people for text in person.texts}
    looked, after = scan(root, texts), removal.hashes_of(root)
    releases = [
        Republished(public(folder), new, gone, _found(scan(storage.locate(folder), texts)))
        for folder, (new, *gone) in note.released.items()
    ]
    return Receipt(
        receipt=note.receipt,
        root=public(root),
        begun=note.begun,
        ended=_now(),
        code=code_hash(),
        digests=note.digests,
        rows_left_out=_rows_left_out(root),
        datasets=[
            Replaced(name, note.before.get(name), after.get(name))
            for name in sorted({*note.before, *after})
        ],
        removed=note.removed,
        releases=releases,
        looked_at={
            name: getattr(looked, name)
            for name in ("files", "bytes", "decoded_files", "decoded_bytes", "too_short")
        },
        found=looked.found,
        by_hand=list(_by_hand(config, roots, todo, looked, bool(releases))),
    )


def _found(looked: Looked) -> int:
    return sum(looked.found.values())


def _rows_left_out(root: Location) -> dict[str, int]:
    found = {}
    for name in _ACCOUNTED:
        if manifests.exists(root, name):
            accounts = manifests.load(root, name).manifest.given(Accounts)
            found[name] = accounts.accounts.get("forgotten", 0) if accounts else 0
    return found


def _by_hand(
    config: Config, roots: Roots, todo: Sequence[Stage], looked: Looked, republished: bool
) -> Iterator[str]:
    """What no command does."""
    raw = {path for stage in todo for path in stage.raw(config)}
    for path in sorted(path for path in raw if split_dataset_path(path) is None):
        yield f"remove their rows from the raw files {public(path)}"
    for path in sorted(path for path in raw if split_dataset_path(path) is not None):
        yield f"{path} is made by a stage in this root, and holds whoever that makes up"
    if roots.base is not None:
        yield f"the base {public(roots.base)} was only read: forget them there, too"
    if not republished:
        yield "where this root was published, emberline forget again with --releases DIR"
    yield "backups and snapshots of the root and of the raw files"
    yield "copies elsewhere: exports, caches of serving systems, other roots of the same raw files"
    if looked.too_short:
        yield (
            f"{looked.too_short} ids are too short to be told from other text: they were looked"
            " for in columns of users' ids alone"
        )


def check_clean(receipt: Receipt) -> None:
    """Raises DataError where an id was found."""
    if receipt.is_clean:
        return
    where = [*receipt.found, *(one.folder for one in receipt.releases if one.found)]
    raise DataError(
        f"ids of those who are to be forgotten are still in {', '.join(where)}: these are in texts"
        " that no rule for ids reads (titles, names of files), or were put there by others; remove"
        " them from the raw files, or remove the files, and run it again"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _micros(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
