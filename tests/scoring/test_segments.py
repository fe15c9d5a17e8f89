"""What is popular in a segment fills up the lists of people of whom nothing better is known,
beside counts by hand.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import pipelines, stages
from emberline.cf import segments
from emberline.datasets import manifest as manifests
from emberline.errors import ConfigError
from emberline.runs import runner
from emberline.serving.because import because
from emberline.serving.lookup import recommendations_of

Row = dict[str, Any]
ITEMS, PRIOR = 12, 200
PIPELINE = """
[ratings]
path = "log.csv"
value = "one"
columns = {{ user_id = "user", item_id = "item" }}
[attributes.users]
path = "people.csv"
columns = {{ id = "user", label = "region", tags = "likes" }}
[cosine]
[recommend]
model = "item-neighbors"
top_k = 4
{segments}
[explain]
[spark]
engine = "here"
"""
BY_REGION = 'segments = { attribute = "label", min_support = 10 }'
# how many rated something, and the last ones who have rated nothing
PEOPLE = [f"n{n}" for n in range(60)] + [f"s{n}" for n in range(40)] + [f"m{n}" for n in range(6)]
NEW = {"new-n": "north", "new-s": "south", "new-m": "moon", "new-x": ""}
REGIONS = {"n": "north", "s": "south", "m": "moon"}


def log() -> list[tuple[str, int]]:
    """The north likes even items, the south odd ones, and nearly all like the first two."""
    rng = np.random.default_rng(3)
    found = []
    for person in PEOPLE:
        parity = {"n": 0, "s": 1, "m": 0}[person[0]]
        own = rng.choice(np.arange(2, ITEMS)[np.arange(2, ITEMS) % 2 == parity], 3, replace=False)
        found += [(person, int(item)) for item in (*own, int(rng.integers(2)))]
    return found


def run_in(folder: Path, given: str) -> Path:
    rows = ["user,item", *(f"{user},i{item}" for user, item in log())]
    (folder / "log.csv").write_text("\n".join(rows))
    people = [f"{person},{REGIONS[person[0]]}," for person in PEOPLE]
    people += [f"{person},{region},b|a" for person, region in NEW.items()]
    (folder / "people.csv").write_text("\n".join(["user,region,likes", *people]))
    (folder / "p.toml").write_text(PIPELINE.format(segments=given))
    config = pipelines.load(folder / "p.toml")
    runner.run(config, folder / "root", stages.select(config))
    return folder / "root"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("segments"), BY_REGION)


def expected(region: str) -> dict[str, float]:
    every, own = np.zeros(ITEMS), np.zeros(ITEMS)
    for person, item in log():
        every[item] += 1
        own[item] += REGIONS[person[0]] == region
    shares = (own + PRIOR * every / every.sum()) / (own.sum() + PRIOR)
    return {f"i{item}": float(shares[item]) for item in range(ITEMS)}


@pytest.mark.parametrize("region", ["north", "south"])
def test_people_who_have_rated_nothing_get_what_is_popular_in_their_segment(
    root: Path, region: str
) -> None:
    found = recommendations_of(root, f"new-{region[0]}", 4, why=True)
    shares = expected(region)
    best = sorted(shares.values(), reverse=True)[:4]
    assert [row.model for row in found] == ["popular-in-segment"] * 4
    assert [row.score for row in found] == pytest.approx(best, rel=1e-5)
    assert all(shares[row.item_id] == pytest.approx(row.score, rel=1e-5) for row in found)
    assert {because(row.reasons, row.model) for row in found} == {
        "many of this person's group chose it"
    }


@pytest.mark.parametrize("person", ["new-m", "new-x"])
def test_a_segment_of_few_is_not_used_nor_is_none(root: Path, person: str) -> None:
    """Six of the moon have rated something, and of some it is not known where they live."""
    found = recommendations_of(root, person, 4)
    counts = np.bincount([item for _, item in log()])
    assert [row.model for row in found] == ["popular"] * 4
    assert [row.score for row in found] == sorted(counts, reverse=True)[:4]


def test_a_short_list_is_filled_up_by_the_segment_without_what_it_has(root: Path) -> None:
    dataset = manifests.load(root, "recommendations")
    rows: list[Row] = pa.concat_tables([pq.read_table(path) for path in dataset.paths]).to_pylist()
    lists: dict[int, list[Row]] = {}
    for row in rows:
        lists.setdefault(row["user"], []).append(row)
    assert len(lists) == len(PEOPLE) + len(NEW)
    for mine in lists.values():
        ordered = sorted(mine, key=lambda row: int(row["rank"]))
        assert len({row["item"] for row in mine}) == len(mine) == 4
        is_filled = [row["model"] != "item-neighbors" for row in ordered]
        assert is_filled == sorted(is_filled)


def test_words_in_any_order_are_one_segment_and_without_words_there_is_none() -> None:
    words = pa.array([["b", "a"], ["a", "b"], ["a"], []], pa.list_(pa.string()))
    rows = pa.record_batch({"user": pa.array([4, 7, 9, 11], pa.int32()), "tags": words})
    (found,) = segments.members(iter([rows]))
    first, second, third = found["segment"].to_pylist()
    assert found["user"].to_pylist() == [4, 7, 9]
    assert first == second != third


def test_segments_need_people_of_whom_something_is_known(tmp_path: Path) -> None:
    text = PIPELINE.format(segments=BY_REGION).replace("attributes.users", "attributes.items")
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"recommend\.segments\] needs .* \[attributes\.users"):
        pipelines.load(tmp_path / "p.toml")
