"""`init` writes a pipeline from a look at files that somebody has, and the pipeline reads them."""

import gzip
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from emberline.errors import ConfigError
from emberline.init import pipeline, roles


def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> dict[str, Any]:
    """The pipeline that is written for files of the test's folder, of which its own look says
    nothing.
    """
    monkeypatch.chdir(tmp_path)
    made = pipeline.write([tmp_path / name for name in names], tmp_path / "my.toml")
    assert made.findings == []
    return tomllib.loads((tmp_path / "my.toml").read_text(encoding="utf-8"))


def test_a_german_shop_log_with_its_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        f"{n % 9 + 100}.0;A-{n % 7};{n % 28 + 1:02}.03.2021 {n % 24:02}:05;{n % 13 - 1};1.{n:03},50"
        for n in range(60)
    ]
    log = "\n".join(
        ["Kundennr;Artikelnummer;Kaufdatum;Menge;Preis", *rows, ";A-1;01.03.2021 10:00;1;2,00"]
    )
    (tmp_path / "käufe.csv").write_bytes(log.encode("cp1252"))
    products = "\n".join(f'A-{n};"Stuhl Größe {n}\nEiche";{n},90;Möbel|Holz' for n in range(7))
    (tmp_path / "produkte.csv").write_bytes(
        f"Artikelnummer;Bezeichnung;Preis;Kategorie\n{products}\n".encode("cp1252")
    )
    found = written(tmp_path, monkeypatch, "käufe.csv", "produkte.csv")
    ratings, items = found["ratings"], found["attributes"]["items"]
    assert ratings["columns"] == {
        "user_id": "Kundennr", "item_id": "Artikelnummer", "timestamp": "Kaufdatum",
        "value": "Menge",
    }  # fmt: skip
    assert (ratings["separator"], ratings["value"], ratings["keep"]) == (";", "count", "sum")
    assert (ratings["timestamp_format"], ratings["user_ids"]) == ("%d.%m.%Y %H:%M", "integer")
    assert [rule["column"] for rule in ratings["reject"]] == ["Kundennr", "Menge"]
    assert items["encoding"] == "cp1252"
    assert items["columns"] == {
        "id": "Artikelnummer",
        "title": "Bezeichnung",
        "genres": "Kategorie",
    }
    assert (items["numbers"], items["decimal"]) == (["Preis"], ",")
    assert found["content"] == {}


def test_backslashes_before_quotes_are_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f'u{n % 9},"a \\"{n}\\", b",i{n % 7}' for n in range(60)]
    (tmp_path / "log.csv").write_text("\n".join(["user,title,item", *rows]))
    assert written(tmp_path, monkeypatch, "log.csv")["ratings"]["escape"] == "\\"


def test_stars_of_movies_without_a_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"{n % 9}::{n % 7}::{n % 5 + 1}::{978_300_000 + 1000 * n}" for n in range(60)]
    (tmp_path / "ratings.dat").write_text("\n".join(rows))
    ratings = written(tmp_path, monkeypatch, "ratings.dat")["ratings"]
    assert ratings["columns"] == {"user_id": 1, "item_id": 2, "timestamp": 4, "value": 3}
    assert (ratings["separator"], ratings["header"], ratings["value"]) == ("::", False, "rating")
    assert (ratings["min_value"], ratings["max_value"], ratings["timestamp_format"]) == (
        1.0,
        5.0,
        "seconds",
    )


def test_clicks_of_json_and_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("view", "cart")
    lines = [
        f'{{"_id": {{"$oid": "{n}"}}, "visitorid": {{"$oid": "v{n % 9}"}}, "itemid": {n % 7},'
        f' "event": "{kinds[n % 2]}"}}'
        for n in range(60)
    ]
    (tmp_path / "events.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    ratings = written(tmp_path, monkeypatch, "events.jsonl.gz")["ratings"]
    assert ratings["columns"] == {
        "user_id": "visitorid.$oid",
        "item_id": "itemid",
        "event": "event",
    }
    assert (ratings["value"], ratings["weights"]) == ("one", {"view": 1, "cart": 1})
    (tmp_path / "my.toml").unlink()
    times = pa.array([1_600_000_000_000_000 + n for n in range(60)], pa.timestamp("us"))
    pq.write_table(
        pa.table({"userId": list(range(60)), "sku": ["a"] * 60, "plays": [400] * 60, "at": times}),
        tmp_path / "a.parquet",
    )
    ratings = written(tmp_path, monkeypatch, "a.parquet")["ratings"]
    assert ratings["columns"] == {
        "user_id": "userId",
        "item_id": "sku",
        "timestamp": "at",
        "value": "plays",
    }
    assert ratings["value"] == "count"
    assert "timestamp_format" not in ratings


def test_a_folder_of_recordings_gets_its_sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rate that most have, up to 16 kHz, and as many seconds as nearly all have."""
    rows = [f"u{n % 9},i{n % 7},{n % 5 + 1}" for n in range(60)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,stars", *rows]))
    (tmp_path / "songs" / "new").mkdir(parents=True)
    for n in range(20):
        rate, seconds = (44_100, 30.0) if n == 7 else (8_000, 2.2 if n % 2 else 0.4)
        sound = np.sin(np.arange(round(rate * seconds)) / 9)
        soundfile.write(tmp_path / "songs" / "new" / f"i{n}.flac", sound, rate)
    (tmp_path / "songs" / "broken.mp3").write_bytes(b"no sound")
    found = written(tmp_path, monkeypatch, "log.csv", "songs")
    assert found["sounds"] == {"path": "songs", "rate": 8000, "seconds": 2.5}
    assert found["shards"] == {"of": "sounds", "task": "factors"}
    assert {"cnn", "predict", "als", "recommend"} <= found.keys()
    assert "[sounds] of each sound the first 2.5 s count" in (tmp_path / "my.toml").read_text()


def test_a_network_learns_from_pictures_where_there_are_sounds_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"u{n % 9},i{n % 7},{n % 5 + 1}" for n in range(60)]
    (tmp_path / "log.csv").write_text("\n".join(["user,item,stars", *rows]))
    for folder, name in (("pictures", "i1.png"), ("songs", "i1.wav"), ("more", "i2.wav")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"nothing")
    found = written(tmp_path, monkeypatch, "log.csv", "pictures", "songs")
    assert found["sounds"] == {"path": "songs"} and found["shards"] == {"task": "factors"}
    assert 'shards.of = "sounds" has it hear instead' in (tmp_path / "my.toml").read_text()
    with pytest.raises(ConfigError, match="several folders hold sounds"):
        pipeline.write([tmp_path / n for n in ("log.csv", "songs", "more")], tmp_path / "b.toml")


def test_a_folder_of_pictures_gets_its_sections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "log.csv").write_text(
        "user,item\n" + "".join(f"u{n % 9},i{n % 7}\n" for n in range(60))
    )
    (tmp_path / "pictures").mkdir()
    for n in range(7):
        (tmp_path / "pictures" / f"i{n}.jpg").write_bytes(b"\xff\xd8\xff")
    found = written(tmp_path, monkeypatch, "log.csv", "pictures")
    assert found["images"]["path"] == "pictures"
    assert found["shards"] == {"task": "factors"}
    assert {"cnn", "predict", "als", "recommend", "evaluate", "report"} <= found.keys()


def test_a_pipeline_elsewhere_names_its_files_from_there_or_in_full(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "log.csv").write_text(
        "user,item\n" + "".join(f"u{n % 9},i{n % 7}\n" for n in range(60))
    )
    for place, path in (("my.toml", "shop/log.csv"), ("shop/my.toml", "log.csv")):
        assert pipeline.write([tmp_path / "shop" / "log.csv"], tmp_path / place).findings == []
        assert tomllib.loads((tmp_path / place).read_text())["ratings"]["path"] == path
    (tmp_path / "other").mkdir()
    pipeline.write([tmp_path / "shop" / "log.csv"], tmp_path / "other" / "my.toml")
    found = tomllib.loads((tmp_path / "other" / "my.toml").read_text())
    assert found["ratings"]["path"] == f"{tmp_path}/shop/log.csv"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\na,b\n")
    (tmp_path / "my.toml").write_text("mine")
    with pytest.raises(ConfigError, match=r"my\.toml is there already"):
        pipeline.write([tmp_path / "log.csv"], tmp_path / "my.toml")
    assert (tmp_path / "my.toml").read_text() == "mine"


def test_files_without_people_or_items_are_named_with_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("colour,size\nred,x\nblue,y\n")
    with pytest.raises(ConfigError, match=r"no file has columns .*a\.csv has colour, size"):
        pipeline.write([tmp_path / "a.csv"], tmp_path / "my.toml")
    assert not (tmp_path / "my.toml").exists()


@pytest.mark.parametrize(
    ("names", "user", "item"),
    [
        (("userId", "movieId", "rating"), "userId", "movieId"),
        (
            ("InvoiceNo", "StockCode", "Description", "Quantity", "CustomerID"),
            "CustomerID",
            "StockCode",
        ),
        (("date", "client_id", "code_article", "quantité"), "client_id", "code_article"),
        (("fecha", "usuario", "id_producto"), "usuario", "id_producto"),
        (("reviewerID", "asin", "overall"), "reviewerID", "asin"),
        (("userID", "artistID", "weight"), "userID", "artistID"),
        (("Benutzer-ID", "Produkt Nr.", "Sterne"), "Benutzer-ID", "Produkt Nr."),
    ],
)
def test_columns_are_known_by_their_names(names: tuple[str, ...], user: str, item: str) -> None:
    found = roles.by_name(names)
    assert (found["user_id"], found["item_id"]) == (user, item)


def test_a_folder_of_different_things_is_taken_apart_and_a_folder_of_one_log_is_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    for place in ("pictures", ".hidden"):
        (folder / place).mkdir(parents=True)
    (folder / "log.csv").write_text("user,item\n1,2\n")
    (folder / "readme.txt").write_text("not rows, by its name, but one is tried\n")
    (folder / "notes.md").touch()
    assert {path.name for path in pipeline.things_in(folder)} >= {"log.csv", "pictures"}
    assert not {"notes.md", ".hidden"} & {path.name for path in pipeline.things_in(folder)}
    days = tmp_path / "days"
    days.mkdir()
    for day in (1, 2, 3):
        (days / f"{day}.csv").write_text(f"user,item\n{day},2\n")
    assert pipeline.things_in(days) == [days]
    (days / "products.csv").write_text("item,title\n2,Two\n")
    assert pipeline.things_in(days) == [days]  # which of them are one log is not for us to guess
    for name in ("1.csv", "2.csv"):
        (days / name).unlink()
    assert [path.name for path in pipeline.things_in(days)] == ["3.csv", "products.csv"]
    for day in (1, 2):
        (days / f"{day}.csv").write_text(f"{day},2\n")
    for name in ("3.csv", "products.csv"):
        (days / name).unlink()
    assert pipeline.things_in(days) == [days]  # two days without a header
    assert pipeline.things_in(days / "3.csv") == [days / "3.csv"]
