"""Mutated files of every kind that people hand in: each is read, or refused in a sentence, and
nothing of it is lost.

Seeded: file number n is the same today and tomorrow.
"""

import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, Part, ProducedBy
from emberline.datasets.schema import TABLES, fields_of
from emberline.errors import EmberlineError, UnusableError
from emberline.images.decode import Shape, decode
from emberline.records import parquet, text
from emberline.records.dialect import Dialect
from emberline.records.parquet_file import Piece

pytestmark = pytest.mark.faults

Random = random.Random
WANTED: dict[str, str | int] = {
    "user_id": "user",
    "item_id": "item",
    "value": "stars",
    "timestamp": "at",
}
SPICES = [
    b"\0", b'"', b'""', b'"\n', b"\r", b"\n\n", b",", b";", b"\\", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\xef\xbf\xbd", b"\xc3",
    b"\x1b[31m", b"[bold]", b"1e999", b"-0", b"NaN", b"null", b"{" * 500, b"[" * 500,
    b'{"a":', b"\xe2\x80\xa8", b"9" * 400,
]  # fmt: skip


def mutated(content: bytes, rng: Random) -> bytes:
    """The content after one to five accidents."""
    for _ in range(rng.randint(1, 5)):
        at, to = sorted(rng.randint(0, len(content)) for _ in range(2))
        accident = rng.randrange(6)
        if accident == 0 and content:
            content = with_a_flipped_bit(content, rng)
        elif accident == 1:
            content = content[:at]
        elif accident == 2:
            content = content[:at] + content[to:]
        elif accident == 3:
            content = content[:to] + content[at:]
        elif accident == 4:
            content = content[:at] + rng.choice(SPICES) + content[at:]
        else:
            content = content[:at] + rng.randbytes(rng.randint(1, 9)) + content[at:]
    return content


def as_csv(rng: Random) -> bytes:
    lines = ["user,item,stars,at,title"]
    for _ in range(rng.randint(0, 40)):
        title = rng.choice(
            ["plain", '"quoted, with a comma"', '"two\nlines"', '"a ""word"""', "", '12" disc']
        )
        lines.append(
            f"u{rng.randrange(9)},i{rng.randrange(9)},{rng.randint(1, 5)},"
            f"{rng.randrange(10**9)},{title}"
        )
    return (rng.choice(["\n", "\r\n"]).join(lines) + rng.choice(["", "\n"])).encode()


def as_json(rng: Random) -> bytes:
    rows = [
        {
            "user": f"u{rng.randrange(9)}",
            "item": rng.randrange(9),
            "stars": rng.random() * 5,
            "at": rng.randrange(10**9),
        }
        | ({"tags": ["a", "é"], "more": {"deep": [1]}} if rng.random() < 0.3 else {})
        for _ in range(rng.randint(1, 40))
    ]
    return "\n".join(json.dumps(row, ensure_ascii=rng.random() < 0.5) for row in rows).encode()


@pytest.mark.parametrize(("kind", "make", "count"), [("csv", as_csv, 350), ("json", as_json, 250)])
def test_of_a_mutated_text_file_every_character_is_in_a_record_or_the_file_is_refused(
    kind: str, make: Callable[[Random], bytes], count: int
) -> None:
    read = 0
    for number in range(count):
        rng = Random(f"{kind} {number}")
        content = mutated(make(rng), rng)
        try:
            found = text.head(io.BytesIO(content), f"a.{kind}", Dialect(kind=kind), WANTED)
            if found is None:
                assert not spaceless(content), number
                continue
            layout, _ = found
            batches = list(text.read(io.BytesIO(content), f"a.{kind}", layout, WANTED))
        except EmberlineError as error:
            assert_is_a_sentence(error)
            continue
        rows = pa.Table.from_batches(batches).to_pylist() if batches else []
        kept = "".join(row["raw"] for row in rows)
        left = spaceless(content)
        for dropped in layout.dropped:
            left = left.replace(spaceless(dropped.encode()), "")
            kept = kept.replace(dropped, "")
        assert spaceless(kept.encode()) == left, f"{kind} {number}"
        read += 1
    assert read > count // 4, "nearly every file was refused"


def as_parquet(rng: Random) -> tuple[bytes, int]:
    """A file with checksums, and how many rows it has."""
    count = rng.randint(1, 60)
    columns = {
        "user": pa.array([f"u{rng.randrange(9)}" for _ in range(count)]),
        "item": pa.array(
            [rng.randrange(9) for _ in range(count)], rng.choice([pa.int32(), pa.int64()])
        ),
        "stars": pa.array(
            [rng.random() for _ in range(count)], rng.choice([pa.float32(), pa.float64()])
        ),
        "at": pa.array([rng.randrange(10**9) for _ in range(count)], pa.timestamp("s")),
        "other": pa.array([[1, 2]] * count),
    }
    stream = pa.BufferOutputStream()
    codec = rng.choice(["snappy", "zstd", "gzip", "none"])
    pq.write_table(
        pa.table(columns), stream, compression=codec, row_group_size=20, write_page_checksum=True
    )
    return stream.getvalue().to_pybytes(), count


def test_of_a_mutated_parquet_file_every_row_is_read_or_the_file_is_refused() -> None:
    read = 0
    for number in range(200):
        rng = Random(f"parquet {number}")
        whole, count = as_parquet(rng)
        content = mutated(whole, rng) if number % 2 else with_a_flipped_bit(whole, rng)
        try:
            layout = parquet.layout(io.BytesIO(content), "a.parquet", WANTED)
            pieces = [Piece(group, rows, 0, rows) for group, rows in enumerate(layout.group_rows)]
            batches = [
                batch
                for piece in pieces
                for batch in parquet.read(io.BytesIO(content), "a.parquet", WANTED, piece)
            ]
        except EmberlineError as error:
            assert_is_a_sentence(error)
            continue
        assert sum(batch.num_rows for batch in batches) == count, number
        read += 1
    assert read > 20, "nearly every file was refused"


def with_a_flipped_bit(content: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def spaceless(content: bytes) -> str:
    """The characters that carry something; what does not decode counts as nothing."""
    return re.sub(r"[\s\ufffd\ufeff]", "", content.decode(errors="replace"))


def assert_is_a_sentence(error: EmberlineError) -> None:
    assert str(error) and len(str(error)) < 2000
    assert "Traceback" not in str(error)


def as_picture(rng: Random) -> bytes:
    pixels = np.frombuffer(rng.randbytes(24 * 20 * 3), np.uint8).reshape(24, 20, 3)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(
        stream, rng.choice(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
    )
    return stream.getvalue()


def test_a_mutated_picture_becomes_pixels_of_the_size_or_a_short_reason() -> None:
    reasons = set()
    for number in range(150):
        rng = Random(f"picture {number}")
        try:
            pixels = decode(mutated(as_picture(rng), rng), Shape(16, 16, 3, "crop", 1_000_000))
            assert pixels.shape == (16, 16, 3)
            assert pixels.dtype == np.uint8
        except UnusableError as error:
            reasons.add(str(error))
    assert reasons
    assert max(map(len, reasons)) < 200


def as_manifest(rng: Random) -> bytes:
    parts = [
        Part(f"{'a' * 16}-r/part-{i}.parquet", rng.randint(0, 9), [3], 100, "0" * 64)
        for i in range(rng.randint(0, 3))
    ]
    by = ProducedBy("prepare-ratings", "f" * 64, "r", {"k": 1}, {}, {}, "c" * 64)
    manifest = Manifest("users", "table", fields_of(TABLES["users"]), 9, parts, by, None, 1, {})
    return json.dumps(asdict(manifest)).encode()


STRANGE = [
    None,
    -1,
    1e308,
    "",
    "\0",
    "../../etc/passwd",
    "/etc/passwd",
    [],
    {},
    [[]],
    True,
    "\x1b[2J",
    10**30,
    "x" * 10_000,
]


def mistaken(content: bytes, rng: Random) -> bytes:
    """A manifest that is JSON still, in which some values are of another kind."""
    tree = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        place = tree
        while isinstance(place, dict | list) and place:
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
            if rng.random() < 0.4 or not isinstance(place[key], dict | list) or not place[key]:
                place[key] = rng.choice(STRANGE)
                break
            place = place[key]
    return json.dumps(tree).encode()


def test_a_mutated_manifest_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "users"
    folder.mkdir()
    for number in range(250):
        rng = Random(f"manifest {number}")
        content = as_manifest(rng)
        content = mutated(content, rng) if number % 2 else mistaken(content, rng)
        (folder / "manifest.json").write_bytes(content)
        try:
            damage.verify(manifests.load(tmp_path, "users"))
        except EmberlineError as error:
            assert_is_a_sentence(error)


PIPELINE = """
[ratings]
path = "PATH"
columns = { user_id = "user", item_id = "item", value = "stars", timestamp = "at" }
max_rejected = 1.0
"""


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_of_a_mutated_file_a_stage_keeps_accounts_or_ends_with_a_sentence(
    kind: str, run: Callable[..., object], root: Path, tmp_path: Path
) -> None:
    make = {"csv": as_csv, "json": as_json, "parquet": lambda rng: as_parquet(rng)[0]}[kind]
    path, ended_well = tmp_path / f"log.{kind}", 0
    for number in range(12):
        rng = Random(f"stage {kind} {number}")
        path.write_bytes(mutated(make(rng), rng))
        try:
            run(PIPELINE.replace("PATH", str(path)), force=True)
        except EmberlineError as error:
            assert_is_a_sentence(error)
            continue
        accounts = manifests.load(root, "interactions").manifest.info["accounts"]
        outcomes = [manifests.load(root, "rejected_ratings").rows, accounts["kept"]]
        assert accounts["read"] == sum(outcomes), f"{kind} {number}"
        ended_well += 1
    assert ended_well
