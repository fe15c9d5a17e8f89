"""A library that answers from what a small pipeline has published, beside the pipeline's own
tables and beside arithmetic done here.
"""

import logging
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement
from tests.serving.shop import EXCLUDED, NEIGHBORS, USERS, Row, Shop, rows_of, run_in

from emberline import extras
from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Indexed
from emberline.errors import ConfigError, ManifestError, NotServedError
from emberline.nearest import Nearest
from emberline.publish import releases
from emberline.serving.lookup import Reason
from emberline.serving.recommender import Recommender

TOP = Path(__file__).parents[2]


def test_a_users_list_is_the_published_one_exactly(shop: Shop, served: Recommender) -> None:
    assert len(shop.lists) == USERS
    for user, listed in shop.lists.items():
        found = served.recommend(user, 5)
        assert [(row.item_id, row.score, row.model) for row in found] == listed
        assert [row.rank for row in found] == [1, 2, 3, 4, 5]
        assert served.recommend(user, 2) == found[:2]


def test_somebodys_events_make_the_list_that_the_pipeline_makes_of_them(
    shop: Shop, served: Recommender
) -> None:
    models = set()
    for user, events in shop.events.items():
        found, listed = served.fold_in(events, 5), shop.lists[user]
        assert [(row.item_id, row.model) for row in found] == [(row[0], row[2]) for row in listed]
        assert [row.score for row in found] == pytest.approx([row[1] for row in listed], abs=1e-4)
        assert not {row.item_id for row in found} & (EXCLUDED | set(events))
        models |= {row.model for row in found}
    assert models == {"als", "content"}


def test_by_neighbors_too(tmp_path: Path) -> None:
    shop = Shop(run_in(tmp_path, NEIGHBORS))
    served = Recommender.open(shop.root, follow=None)
    for user, events in shop.events.items():
        found = served.fold_in(list(events.items()), 5)
        listed = shop.lists[user]
        assert [row.item_id for row in found] == [row[0] for row in listed]
        assert [row.score for row in found] == pytest.approx([row[1] for row in listed], abs=1e-4)
        best, *_ = served.why(found[0].item_id, events=events)
        assert best == served.why(found[0].item_id, user_id=user)[0]
    alike = {row["neighbor"]: row["similarity"] for row in _neighbors_of(shop, "i0")}
    found = served.similar("i0", 3)
    assert {row.item_id for row in found} <= {shop.items[item] for item in alike} - EXCLUDED
    assert found[0].score == max(
        value for item, value in alike.items() if shop.items[item] not in EXCLUDED
    )


def _neighbors_of(shop: Shop, item_id: str) -> list[Row]:
    rows = rows_of(shop.root, "refitted_item_neighbors")
    return [row for row in rows if shop.items[row["item"]] == item_id]


def test_repeated_events_are_added_where_the_pipeline_adds_them(served: Recommender) -> None:
    assert served.fold_in([("i0", 1), ("i2", 1), ("i0", 2)]) == served.fold_in({"i0": 3, "i2": 1})
    assert served.fold_in(["i0", "i2"]) == served.fold_in({"i0": 1, "i2": 1})
    assert served.fold_in(["i0", "i2", "nobody's"]) == served.fold_in(["i2", "i0"])
    assert served.unknown(["i0", "nobody's"]) == ("nobody's",)


def test_of_whom_nothing_is_known_gets_what_is_popular(shop: Shop, served: Recommender) -> None:
    popular = [
        shop.items[row["item"]]
        for row in sorted(rows_of(shop.root, "popular_items"), key=lambda row: row["rank"])
    ]
    for found in (served.recommend("zoe", 5), served.fold_in([], 5), served.popular(5)):
        assert [row.item_id for row in found] == popular
        assert {row.model for row in found} == {"popular"}
    assert [row.item_id for row in served.fold_in(["i33"], 4)] == popular[:4]  # new: no factors


def test_items_are_alike_by_the_cosine_of_their_factors(shop: Shop, served: Recommender) -> None:
    factors = {
        shop.items[row["item"]]: np.array(row["factors"])
        for name in ("content_factors", "refitted_item_factors")  # the item's own where it has any
        for row in rows_of(shop.root, name)
    }
    for item in ("i0", "i32", "i3"):
        cosines = {
            other: vector @ factors[item] / np.linalg.norm(vector) / np.linalg.norm(factors[item])
            for other, vector in factors.items()
            if other != item and other not in EXCLUDED
        }
        found = served.similar(item, 4)
        best = sorted(cosines.values(), reverse=True)[:4]
        assert [row.score for row in found] == pytest.approx(best, abs=1e-5)
        assert [cosines[row.item_id] for row in found] == pytest.approx(best, abs=1e-5)


def test_reasons_of_events_are_those_that_are_published_of_them(
    shop: Shop, served: Recommender
) -> None:
    for user in list(shop.events)[:5]:
        for item, _, _ in shop.lists[user]:
            every = served.why(item, user_id=user)
            published = [row for row in every if row.kind == "event"]
            found = served.why(item, events=shop.events[user])
            assert [row.past for row in found] == [row.past for row in published]
            drops = [row.drop for row in published]
            assert [row.drop for row in found] == pytest.approx(drops, abs=1e-4)
    assert served.why("i0", events=["i33"]) == ()
    first, *_ = served.fold_in(["i0", "i2"], why=True)
    assert_equal(first.reasons, served.why(first.item_id, events=["i0", "i2"]))
    assert [row.reasons[0].kind for row in served.fold_in(["i33"], 2, why=True)] == ["popular"] * 2
    user = next(iter(shop.events))
    assert served.recommend(user, 1, why=True)[0].reasons == served.why(
        shop.lists[user][0][0], user_id=user
    )


def assert_equal(found: Sequence[Reason], expected: Sequence[Reason]) -> None:
    """But for the last bits of products of other shapes."""
    assert [(row.kind, row.past) for row in found] == [(row.kind, row.past) for row in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.contribution == pytest.approx(other.contribution, rel=1e-5)
        assert one.drop == pytest.approx(other.drop, rel=1e-5)


def test_what_cannot_be_answered_is_said_in_one_line(shop: Shop, served: Recommender) -> None:
    user = next(iter(shop.events))
    own = next(iter(shop.events[user]))
    for kind, message, ask in (
        (NotServedError, "there is no item 'nix'", lambda: served.similar("nix")),
        (NotServedError, "there is no item", lambda: served.similar("caf\udce9")),
        (NotServedError, "there is no item 'nix'", lambda: served.why("nix", user_id=user)),
        (NotServedError, "there is no user 'zoe'", lambda: served.why("i0", user_id="zoe")),
        (NotServedError, "is not in the list", lambda: served.why(own, user_id=user)),
        (ConfigError, "k = 0", lambda: served.recommend(user, 0)),
        (ConfigError, "either user_id or events", lambda: served.why("i0")),
        (ConfigError, "expected an item's id, or an id and a finite", lambda: served.fold_in([1])),
        (ConfigError, "a finite number", lambda: served.fold_in([("i0", float("nan"))])),
        (ConfigError, "a finite number", lambda: served.fold_in({"i0": 1e39})),
    ):
        with pytest.raises(kind, match=message) as refused:
            ask()
        assert "\n" not in str(refused.value)


def test_factors_in_few_bytes_make_the_same_lists(shop: Shop, tmp_path: Path) -> None:
    whole, _ = releases.publish(shop.root, tmp_path / "r", with_defaults=False)
    few, is_new = releases.publish(shop.root, tmp_path / "r", with_defaults=False, factors="int8")
    assert is_new and few.rows["quantized_item_factors"] == whole.rows["refitted_item_factors"]
    place = tmp_path / "r" / "releases" / few.release
    assert not (place / "refitted_item_factors").exists()
    for name in ("quantized_item_factors", "quantized_user_factors"):
        damage.verify(manifests.load(place, name))
    (halves,) = {row.type for row in pq.read_schema(_part(place, "quantized_user_factors"))} - {
        pa.int32()
    }
    assert halves == pa.list_(pa.float16())
    served = Recommender.open(tmp_path / "r", follow=None)
    assert any(row.model == "als" for row in served.similar("i0"))
    for user, events in shop.events.items():
        found = {row.item_id: row.score for row in served.fold_in(events, 5)}
        assert found == {
            item: pytest.approx(score, abs=5e-3) for item, score, _ in shop.lists[user]
        }
        item = shop.lists[user][0][0]
        past = [row.past for row in served.why(item, user_id=user) if row.kind == "event"]
        assert [row.past for row in served.why(item, events=events)] == past
    assert releases.publish(shop.root, tmp_path / "r", factors="int8") == (few, False)


def _part(place: Path, name: str) -> Path:
    return Path(str(manifests.load(place, name).paths[0]))


def test_a_release_without_factors_has_lists_and_says_what_it_lacks(
    shop: Shop, tmp_path: Path
) -> None:
    releases.publish(shop.root, tmp_path / "r", ["recommendations", "users", "items"], (), 3, True)
    served = Recommender.open(tmp_path / "r", follow=None)
    user, listed = next(iter(shop.lists.items()))
    assert [row.score for row in served.recommend(user)] == [row[1] for row in listed]
    with pytest.raises(NotServedError, match=r"has no refitted_item_factors.*publish it, too"):
        served.fold_in(["i0"])
    with pytest.raises(ManifestError, match=r"has no manifest\.json"):
        Recommender.open(tmp_path, follow=None)


def test_another_release_is_read_once_it_is_current(shop: Shop, tmp_path: Path) -> None:
    first, _ = releases.publish(shop.root, tmp_path / "r", with_defaults=False)
    with Recommender.open(tmp_path / "r", follow=0.02) as served:
        user = next(iter(shop.lists))
        before = served.recommend(user)
        some = ["recommendations", "users", "items", "item_attributes"]
        second, _ = releases.publish(shop.root, tmp_path / "r", some, with_defaults=False)
        _wait_until(served, second.release)
        assert served.recommend(user) == before
        releases.rollback(tmp_path / "r")
        _wait_until(served, first.release)
        assert not served.refresh()
        (tmp_path / "r" / "current.json").write_text("{}")
        with pytest.raises(ManifestError):
            served.refresh()
        assert served.recommend(user) == before  # what was read stays


def _wait_until(served: Recommender, release: str) -> None:
    end = time.monotonic() + 20
    while served.release != release and time.monotonic() < end:
        time.sleep(0.01)
    assert served.release == release


def test_nothing_is_needed_but_what_the_extra_names(
    shop: Shop, served: Recommender, tmp_path: Path
) -> None:
    """In a Python that sees the packages of `emberline[serving]` and no other."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    for name in project["optional-dependencies"]["serving"]:
        _link(Requirement(name).name, tmp_path)
    (tmp_path / "emberline").symlink_to(TOP / "lib" / "emberline")
    folder = served._folder
    code = (
        "import sys; from emberline import Recommender; r = Recommender.open(sys.argv[1]);"
        " print(r.recommend('u0')); print(r.fold_in(['i0'])); print(r.similar('i0'));"
        " r.why(r.fold_in(['i0'])[0].item_id, events=['i0'])"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code, str(folder)],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    asked = (served.recommend("u0"), served.fold_in(["i0"]), served.similar("i0"))
    assert ended.stdout == "".join(f"{answer}\n" for answer in asked)


def _link(distribution: str, folder: Path) -> None:
    """The top folders of an installed distribution."""
    files = metadata.files(distribution) or []
    for name in {file.parts[0] for file in files if file.parts[0] != ".."}:
        place = Path(str(metadata.distribution(distribution).locate_file(name)))
        if name != "__pycache__" and not (folder / name).exists():
            (folder / name).symlink_to(place)


# --------------------------------------------------------------------------------------------------
# an index of very many items


def test_with_an_index_the_same_items_are_recommended_and_it_says_how_many_it_finds(
    shop: Shop, served: Recommender, tmp_path: Path
) -> None:
    release, _ = releases.publish(shop.root, tmp_path / "r", with_defaults=False, index_from=30)
    place = tmp_path / "r" / "releases" / release.release
    index = manifests.load(place, "item_index")
    damage.verify(index)
    said = index.manifest.facts(Indexed)
    assert said == Indexed("refitted_item_factors", pytest.approx(1.0), 10, len(shop.users))
    indexed = Recommender.open(tmp_path / "r", follow=None)
    for events in shop.events.values():
        assert [(row.item_id, row.model) for row in indexed.fold_in(events, 3)] == [
            (row.item_id, row.model) for row in served.fold_in(events, 3)
        ]
    assert not EXCLUDED & {row.item_id for row in indexed.fold_in({"i0": 1}, 5)}
    asked = {"with_defaults": False, "index_from": 30}
    assert releases.publish(shop.root, tmp_path / "r", **asked) == (release, False)
    whole, is_new = releases.publish(shop.root, tmp_path / "r", with_defaults=False)
    assert is_new and "item_index" not in whole.datasets


def test_an_index_finds_items_of_few_bytes_too(shop: Shop, tmp_path: Path) -> None:
    whole, found = (
        Recommender.open(_published(shop, tmp_path / str(least), least), follow=None)
        for least in (1_000_000, 1)
    )
    for events in shop.events.values():
        expected, rows = whole.fold_in(events, 3), found.fold_in(events, 3)
        assert [row.item_id for row in rows] == [row.item_id for row in expected]
        assert [row.score for row in rows] == pytest.approx([row.score for row in expected])


def _published(shop: Shop, folder: Path, least: int) -> Path:
    release, _ = releases.publish(
        shop.root, folder, with_defaults=False, factors="int8", index_from=least
    )
    assert "quantized_item_factors" in release.datasets
    assert ("item_index" in release.datasets) == (least == 1)
    return folder


def test_where_the_index_finds_too_few_that_may_be_listed_all_are_scored(
    shop: Shop, served: Recommender, tmp_path: Path
) -> None:
    releases.publish(shop.root, tmp_path / "r", with_defaults=False, index_from=1)
    indexed = Recommender.open(tmp_path / "r", follow=None)
    events = {f"i{item}": 1.0 for item in range(0, 20, 2)}
    assert len(indexed.fold_in(events, 30)) == len(served.fold_in(events, 30)) > 20


def test_an_index_that_was_altered_is_not_read_and_none_is_needed(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, _ = releases.publish(shop.root, tmp_path / "r", with_defaults=False, index_from=1)
    (path,) = (tmp_path / "r" / "releases" / release.release / "item_index").rglob("*.usearch")
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"items\.usearch was altered"):
        Recommender.open(tmp_path / "r", follow=None)
    monkeypatch.setattr(extras, "INDEX", extras.Extra("index", ("no_such_module",), "usearch"))
    assert Recommender.open(tmp_path / "r", follow=None).fold_in({"i0": 1}, 3)
    bare, _ = releases.publish(shop.root, tmp_path / "r", with_defaults=False, index_from=1)
    assert "item_index" not in bare.datasets


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e5])
def test_of_twenty_thousand_items_of_very_different_lengths_nearly_all_of_the_best_are_found(
    scale: float,
) -> None:
    """Whatever the unit: neither float16's range nor that of a distance, 1 less a product."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(50, 16))
    lengths = scale * np.exp(0.6 * rng.normal(size=(20_000, 1)))
    items = (centres[rng.integers(50, size=20_000)] + rng.normal(size=(20_000, 16))) * lengths
    items = items.astype(np.float32)
    users = (scale * rng.normal(size=(50, 16))).astype(np.float32)
    nearest = Nearest.restored(Nearest.of(items).content())
    best = np.argsort(-(users @ items.T), axis=1)[:, :10]
    found = [nearest.near(user, 40) for user in users]
    assert all(np.array_equal(places, np.unique(places)) for places in found)
    shares = [len(np.intersect1d(each, own)) / 10 for each, own in zip(found, best, strict=True)]
    assert np.mean(shares) > 0.95


def test_what_was_not_measured_is_no_recall_of_0(
    shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("emberline"), "propagate", True)
    tables = ["recommendations", "users", "items", "refitted_item_factors"]
    release, _ = releases.publish(
        shop.root, tmp_path / "r", tables, with_defaults=False, index_from=1
    )
    place = tmp_path / "r" / "releases" / release.release
    said = manifests.load(place, "item_index").manifest.facts(Indexed)
    assert said == Indexed("refitted_item_factors", None, 10, 0)
    assert "index_finds_few" not in caplog.text


def test_what_the_installed_usearch_cannot_read_is_said_in_one_line() -> None:
    content = Nearest.of(np.eye(16, dtype=np.float32)).content()
    for unread in (content[: len(content) // 2], b"", b"x" * 500):
        with pytest.raises(ConfigError, match=r"usearch cannot read .*emberline\[index\]'$"):
            Nearest.restored(unread)


def test_an_index_that_finds_few_of_the_best_is_said_to_when_it_is_published(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("emberline"), "propagate", True)
    releases.publish(shop.root, tmp_path / "good", with_defaults=False, index_from=1)
    assert "index_finds_few" not in caplog.text
    monkeypatch.setattr(Nearest, "near", lambda self, vector, count: np.arange(3))
    releases.publish(shop.root, tmp_path / "poor", with_defaults=False, index_from=1)
    (line,) = [each for each in caplog.messages if each.startswith("index_finds_few")]
    assert "of=10" in line and "index_from" in line
