"""Who was forgotten in a root: `_forgotten/tombstones.json`, which every later run obeys.

An index stays reserved, so that what is built on indices stays right; the outside id is gone. What
stands for it is a digest with a salt that the root alone has.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from emberline.datasets import storage, typed_json
from emberline.datasets.storage import Location
from emberline.errors import ManifestError

FOLDER = "_forgotten"
FILE = "tombstones.json"
UNFINISHED = "unfinished.json"
FORMAT_VERSION = 1
_SALT = 32  # bytes


@dataclass(frozen=True)
class Tombstone:
    """Somebody who was forgotten: a digest of the id, in hexadecimal, the moment up to which rows
    are left out, in microseconds, and the index, None where there was none.
    """

    digest: str
    until: int
    index: int | None = None


@dataclass(frozen=True)
class Tombstones:
    """All of a root, and the salt of their digests, in hexadecimal."""

    salt: str
    people: list[Tombstone] = field(default_factory=list)
    format: int = FORMAT_VERSION

    @classmethod
    def fresh(cls) -> "Tombstones":
        """Of nobody yet."""
        return cls(secrets.token_hex(_SALT))

    @property
    def until(self) -> tuple[bytes, dict[str, int]]:
        """The salt, and until when rows are left out, by digest."""
        return bytes.fromhex(self.salt), {one.digest: one.until for one in self.people}

    def with_more(self, more: Iterable[Tombstone]) -> "Tombstones":
        """With others; who is there already counts until the later moment, and keeps an index."""
        found = {one.digest: one for one in self.people}
        for one in more:
            before = found.get(one.digest, one)
            index = one.index if one.index is not None else before.index
            found[one.digest] = Tombstone(one.digest, max(one.until, before.until), index)
        return Tombstones(self.salt, [found[digest] for digest in sorted(found)])


def read(root: Location) -> Tombstones | None:
    """Those of a root; None where nobody was forgotten. Raises ManifestError for a damaged file."""
    path = root / FOLDER / FILE
    if not path.is_file():
        return None
    try:
        found = typed_json.build(Tombstones, typed_json.read(path))
        bytes.fromhex(found.salt)
    except ValueError as error:
        raise ManifestError(
            f"{path} is damaged ({error}), and without it people who were forgotten would be back:"
            " restore it from a backup"
        ) from error
    return found


def write(root: Location, tombstones: Tombstones) -> None:
    """Replace them in one step."""
    folder = root / FOLDER
    storage.make_folder(folder)
    storage.replace_file(folder / FILE, json.dumps(asdict(tombstones), indent=1).encode())
    storage.sync_folder(folder)


def identity(found: Sequence[Tombstones]) -> str:
    """A hash of what of them decides on the results of runs; empty where nobody was forgotten."""
    people = [[one.digest, one.until] for tombstones in found for one in tombstones.people]
    return hashlib.sha256(json.dumps(people).encode()).hexdigest()[:16] if people else ""


def is_unfinished(root: Location) -> bool:
    """Whether people are being forgotten there: until that is done, what was learnt from them may
    still be in the root, and nothing continues from it.
    """
    return (root / FOLDER / UNFINISHED).is_file()
