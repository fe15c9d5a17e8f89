"""Files that nobody wrote as they are: a look and `init` end in findings or in an error with a
message, never otherwise.
"""

import random
from pathlib import Path

import pytest

from emberline import stages
from emberline.datasets import listing
from emberline.errors import EmberlineError
from emberline.init import pipeline
from emberline.look import examine
from emberline.look.sources import of_stage
from emberline.sections.config import Config

LINES = [
    f'u{n % 9};i{n % 7};{n % 5 + 1},5;{n % 28 + 1:02}.03.2021 10:00;"a ""b""; c"' for n in range(40)
]
SEEDS = {
    "log.csv": "\n".join(["user;item;stars;at;title", *LINES]).encode(),
    "log.jsonl": (
        "\n".join(
            f'{{"user": "u{n}", "item": {n}, "stars": {n}.5, "at": "2021-03-01"}}'
            for n in range(30)
        ).encode()
    ),
}
PIECES = [
    b"\0",
    b'"',
    b";",
    b"\n",
    b"\r",
    b"\xff",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"[",
    b"\\",
    b"\t",
    b"nan",
    b"1e999",
    b"-",
]


def _mutated(content: bytes, rng: random.Random) -> bytes:
    """The same bytes with some pieces put in, taken out, doubled or swapped."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        at = rng.randrange(len(data) + 1)
        length = rng.choice([0, 1, 1, 5, 200])
        data[at : at + length] = rng.choice(
            [b"", rng.choice(PIECES), bytes(data[:length]), rng.randbytes(3)]
        )
    return bytes(data)


def _look(path: Path, rng: random.Random) -> list[str]:
    """What is found."""
    columns = {"user_id": "user", "item_id": "item", "value": "stars", "timestamp": "at"}
    settings = {
        "separator": rng.choice([";", ","]),
        "timestamp_format": rng.choice(["%d.%m.%Y %H:%M", "seconds", "iso"]),
    }
    config = Config.model_validate({"ratings": {"path": str(path), "columns": columns} | settings})
    return [
        finding.message
        for source in of_stage(config, stages.select(config)[0])
        for finding in examine.look(source, listing.list_files(path))
    ]


def _write(path: Path, rng: random.Random) -> list[str]:
    """The pipeline for it."""
    pipeline.write([path], path.with_suffix(".toml"))
    return [path.with_suffix(".toml").read_text()]


def _tried(tmp_path: Path, count: int) -> tuple[list[str], list[str]]:
    """What a look at mutated files and `init` have said: findings and pipelines; and errors."""
    rng = random.Random(19)
    found: list[str] = []
    errors: list[str] = []
    for number in range(count):
        name = rng.choice(list(SEEDS))
        path = tmp_path / f"{number}-{name}"
        path.write_bytes(_mutated(SEEDS[name], rng))
        for attempt in (_look, _write):
            try:
                found += attempt(path, rng)
            except EmberlineError as error:
                errors.append(str(error))
    return found, errors


def test_mutated_files_end_in_findings_or_in_a_message(tmp_path: Path) -> None:
    found, errors = _tried(tmp_path, 15)
    assert all(found) and all(errors)
    assert 0 < len(errors) < 2 * 15


@pytest.mark.faults
def test_many_mutated_files_end_in_findings_or_in_a_message(tmp_path: Path) -> None:
    found, errors = _tried(tmp_path, 500)
    assert all(found) and all(errors)
    assert 0 < len(errors) < 2 * 500
