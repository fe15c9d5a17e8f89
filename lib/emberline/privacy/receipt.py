"""The receipt of a forgetting: what was looked at, what was replaced and removed, and what is left
for people to do; it names nobody.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace

from emberline.datasets import storage, typed_json
from emberline.datasets.storage import Location
from emberline.errors import DataError
from emberline.logs import public
from emberline.runs.tombstones import FOLDER

RECEIPTS = "receipts"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Replaced:
    """A dataset, and the sha256 of its manifest before and after; None where there was none."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Republished:
    """Where releases were: the one that is there now, those that were removed, and in how many
    files of it an id was found.
    """

    folder: str
    release: str
    removed: list[str]
    found: int


@dataclass(frozen=True)
class Receipt:
    """All that is said of a forgetting. `digests` are those of the root's tombstones,
    `rows_left_out` are raw rows by table, `found` is by file in how many places an id is still
    there, `seal` the sha256 of all else.
    """

    receipt: str
    root: str
    begun: str
    ended: str
    code: str
    digests: list[str]
    rows_left_out: dict[str, int]
    datasets: list[Replaced]
    removed: list[str]
    releases: list[Republished]
    looked_at: dict[str, int]
    found: dict[str, int]
    by_hand: list[str]
    seal: str = ""
    format: int = FORMAT_VERSION
    kind: str = field(default="emberline receipt of a forgetting")

    @property
    def is_clean(self) -> bool:
        """Whether no id was found any more."""
        return not self.found and not any(one.found for one in self.releases)

    def sealed(self) -> "Receipt":
        """With its seal."""
        return replace(self, seal=self.seal_due)

    @property
    def seal_due(self) -> str:
        """What the seal has to be."""
        content = asdict(self) | {"seal": ""}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def lines(self) -> Iterator[str]:
        """The receipt for people."""
        looked = self.looked_at
        yield f"{len(self.digests)} people were forgotten in {self.root} (receipt {self.receipt})"
        yield f"begun {self.begun}, ended {self.ended}"
        left = ", ".join(f"{name} {rows:,}" for name, rows in self.rows_left_out.items())
        yield f"raw rows left out: {left or 'none'}"
        changed = [one.name for one in self.datasets if one.before != one.after]
        yield f"datasets made anew: {', '.join(changed) or 'none'}"
        yield f"removed: {len(self.removed)} files and folders of earlier runs"
        for one in self.releases:
            gone = ", ".join(one.removed) or "none"
            yield f"{one.folder}: release {one.release}; removed: {gone}"
        yield (
            f"looked at: {looked['files']:,} files of {looked['bytes']:,} bytes, and"
            f" {looked['decoded_bytes']:,} bytes unpacked"
        )
        where = ", ".join(f"{name} ({times})" for name, times in self.found.items())
        yield f"ids found: {where or 'none'}"
        yield from (f"by hand: {text}" for text in self.by_hand)


def write(root: Location, receipt: Receipt) -> Location:
    """Write the receipt as JSON and as text beside it; returns where the JSON is."""
    folder = root / FOLDER / RECEIPTS
    storage.make_folder(folder)
    path = folder / f"{receipt.receipt}.json"
    text = "".join(f"{public(line)}\n" for line in receipt.lines())
    storage.replace_file(folder / f"{receipt.receipt}.txt", text.encode())
    content = json.dumps(asdict(receipt), indent=1)
    storage.replace_file(path, content.encode())
    storage.sync_folder(folder)
    return path


def read(path: Location) -> Receipt:
    """A receipt. Raises DataError for a file that is none."""
    try:
        found = typed_json.build(Receipt, typed_json.read(path))
        if found.format != FORMAT_VERSION:
            raise ValueError(f"format {found.format}, expected {FORMAT_VERSION}")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a receipt of a forgetting ({error})") from error
    return found
