"""Who is to be forgotten: a file of outside ids, and what tables have instead of them."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from emberline.cleaning.forgotten import digest
from emberline.cleaning.shield import Shield
from emberline.datasets import listing
from emberline.datasets import manifest as manifests
from emberline.datasets.rows import rows_where
from emberline.errors import DataError
from emberline.flow.here import Here
from emberline.raw import rejects
from emberline.raw.attributes import read_attributes
from emberline.runs import keys
from emberline.runs.roots import Roots
from emberline.runs.tombstones import Tombstone, Tombstones
from emberline.sections.config import Config
from emberline.sections.recommend import UserListConfig

_MEMORY, _CORES = 256 << 20, 1
_TABLES = ("users", "user_attributes")


@dataclass(frozen=True)
class Person:
    """Somebody to be forgotten: the id as tables have it, and the texts by which traces are
    looked for.
    """

    inside: str
    texts: frozenset[str]


def read(config: Config, file: str, column: str) -> list[Person]:
    """Those whom a file lists, by the pipeline's rules for ids. Raises DataError where a row cannot
    be read, or there is none.
    """
    rules = {}
    if config.ratings:
        names = {"user_ids": "ids", "clean_user_ids": "clean_ids"}
        names |= {name: name for name in ("nulls", "normalize")}
        rules = {ours: getattr(config.ratings, name) for name, ours in names.items()}
    source = UserListConfig.model_validate({"path": file, "user_id": column, **rules})
    files = listing.list_files(file)
    with Here(memory=_MEMORY, cores=_CORES) as flow:
        wanted, guarded = {"id": source.column}, (Shield(), "user")
        rows = read_attributes(flow, files, source, wanted, source.rules(), guarded).kept()
        rejects.check_readable(rows, "--users", file)
        found = rows.select({"id": "id", "spelling": "spelling"}).table()
    if not found.num_rows:
        raise DataError(f"--users {file} lists nobody: expected a column {column} of ids")
    return _people(config, found)


def _people(config: Config, found: pa.Table) -> list[Person]:
    outside: dict[str, set[str]] = {}
    for row in found.to_pylist():
        outside.setdefault(row["id"], {row["id"]}).add(row["spelling"] or row["id"])
    shield = Shield()
    if config.privacy and config.privacy.sides:
        shield = Shield(keys.key_of(config.privacy), config.privacy.sides)
    inside = shield.shown("user", pa.array(list(outside), pa.string())).to_pylist()
    return [
        Person(one, frozenset({one, *texts}))
        for one, texts in zip(inside, outside.values(), strict=True)
    ]


def tombstones_of(
    roots: Roots, people: Iterable[Person], before: Tombstones, until: int
) -> list[Tombstone]:
    """A tombstone for each, with the index that they have in the root or its base now."""
    salt = bytes.fromhex(before.salt)
    indices = _indices(roots, [person.inside for person in people])
    return [
        Tombstone(digest(salt, person.inside), until, indices.get(person.inside))
        for person in people
    ]


def _indices(roots: Roots, ids: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for place in roots.places:
        for name in _TABLES:
            if manifests.exists(place, name):
                rows = rows_where(manifests.load(place, name), "user_id", ids, ["user"])
                found |= dict(
                    zip(rows["user_id"].to_pylist(), rows["user"].to_pylist(), strict=True)
                )
    return found
