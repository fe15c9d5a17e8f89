"""export-shards: what is trained on and what is measured, and one order that nothing but the
seed decides.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import stages
from emberline.datasets import hashes
from emberline.datasets import manifest as manifests
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.runs import runner
from emberline.sections.config import Config

Row = dict[str, Any]
Publish = Callable[..., None]

INFO = {"height": 1, "width": 2, "channels": 3, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
KEPT_INFO = ("height", "width", "channels", "mean", "std")
NAMES = ("shards_train", "shards_val", "shards_test", "shards_all")
IMAGES: Row = {"images": {"path": "unread"}}
SEED = 3


def picture(item: int, **cells: Any) -> Row:
    return {"item": item, "item_id": f"i{item * 7919 % 10007}", "pixels": item.to_bytes(6)} | cells


class Shards:
    """What the stage makes of what is published in the root."""

    def __init__(self, root: Path, sections: Row, cores: int = 2) -> None:
        spark = {"engine": "here", "master": f"local[{cores}]"}
        config = Config.model_validate(IMAGES | {"spark": spark} | sections)
        runner.run(config, root, stages.select(config, "export-shards"), force=True)
        self.datasets = {name: manifests.load(root, name) for name in NAMES}
        self.rows = {name: self._rows(name) for name in NAMES}
        self.splits = {row["item_id"]: row["split"] for row in self.rows["shards_all"]}

    def _rows(self, name: str) -> list[Row]:
        return [
            row for path in self.datasets[name].paths for row in pq.read_table(path).to_pylist()
        ]

    def assert_split(self) -> None:
        """Each set but `all` holds the rows of `all` with its split, and the manifest counts
        them.
        """
        assert len(self.splits) == len(self.rows["shards_all"])
        for name in NAMES[:3]:
            split = name.removeprefix("shards_")
            assert self.rows[name] == [
                row for row in self.rows["shards_all"] if row["split"] == split
            ]
            assert self.datasets[name].rows == len(self.rows[name])

    def row_groups(self, name: str) -> list[list[int]]:
        """The rows of each row group of each part."""
        files = [pq.ParquetFile(path).metadata for path in self.datasets[name].paths]
        return [[file.row_group(i).num_rows for i in range(file.num_row_groups)] for file in files]


def hashes_of(item_ids: list[str], purpose: str) -> dict[str, int]:
    """The signed hash of (seed, purpose, item_id)."""
    found = hashes.of_columns(SEED, purpose, pa.array(item_ids)).view(np.int64)
    return dict(zip(item_ids, found.tolist(), strict=True))


# --------------------------------------------------------------------------------------------------
# classes

# 3 in 4 pictures say their label; of the others an attribute or nobody does.
CLASSES = ["Zebra", "ant", "bee"]
NUM_PICTURES = 3200
PICTURES = [
    picture(
        item,
        label=CLASSES[item % 3] if item % 4 else None,
        split={0: "test", 1: "train"}.get(item % 10),
    )
    for item in range(NUM_PICTURES)
]
# The attribute of a picture with its own label does not count.
ATTRIBUTES = [
    {
        "item": item,
        "item_id": PICTURES[item]["item_id"],
        "label": "bee",
        "genres": [],
        "tags": [],
        "numbers": [],
    }
    for item in range(0, NUM_PICTURES, 2)
    if item % 8 != 4
]
CLASS_SECTIONS: Row = {
    "attributes": {"items": {"path": "unread", "columns": {"id": "i", "label": "l"}}},
    "shards": {"task": "class", "val": 0.25, "test": 0.15, "seed": SEED, "rows_per_shard": 700},
}


def label_of(item: int) -> str | None:
    return CLASSES[item % 3] if item % 4 else "bee" if item % 8 != 4 else None


@pytest.fixture(scope="module")
def classes(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    root = tmp_path_factory.mktemp("classes")
    publish(root, "prepare-images", "images", PICTURES, **INFO)
    publish(root, "prepare-items", "item_attributes", ATTRIBUTES)
    return Shards(root, CLASS_SECTIONS)


def test_labels_are_numbered_in_alphabetical_order_the_pictures_own_before_the_items(
    classes: Shards,
) -> None:
    number = {None: None, "Zebra": 0, "ant": 1, "bee": 2}
    assert {row["item"]: row["label"] for row in classes.rows["shards_all"]} == {
        item: number[label_of(item)] for item in range(NUM_PICTURES)
    }
    for dataset in classes.datasets.values():
        assert dataset.manifest.info["classes"] == ["Zebra", "ant", "bee"]


def test_the_publishers_test_pictures_are_tested_on_and_pictures_without_a_label_are_nowhere_else(
    classes: Shards,
) -> None:
    classes.assert_split()
    splits = {row["item"]: row["split"] for row in classes.rows["shards_all"]}
    unlabelled = {item for item in range(NUM_PICTURES) if label_of(item) is None}
    assert len(unlabelled) == 400
    assert {item for item, split in splits.items() if split == "none"} == unlabelled
    tested = set(range(0, NUM_PICTURES, 10)) - unlabelled
    assert {splits[item] for item in tested} == {"test"}


def test_pictures_that_the_publisher_keeps_for_validation_are_those_to_choose_by(
    publish: Publish, root: Path
) -> None:
    given = ["train", "val", "test"]
    pictures = [picture(n, split=given[n % 3], label="ab"[n % 2]) for n in range(60)]
    publish(
        root,
        "prepare-images",
        "images",
        pictures,
        **INFO | {"splits": {"train": 20, "val": 20, "test": 20}},
    )
    shards = Shards(root, {"shards": {"task": "class", "val": 0.5, "test": 0.5}})
    assert {row["item"]: row["split"] for row in shards.rows["shards_all"]} == {
        n: given[n % 3] for n in range(60)
    }
    assert len(shards.rows["shards_val"]) == 20


def test_the_others_are_divided_by_hash_in_about_the_shares_asked_for(classes: Shards) -> None:
    """Nobody says of 8 in 10 whether they are for testing, so that 15 in 100 of these are drawn."""
    others = {
        row["item_id"]: row
        for row in classes.rows["shards_all"]
        if row["item"] % 10 and row["split"] != "none"
    }
    free = {item_id for item_id, row in others.items() if row["item"] % 10 > 1}
    draws = {purpose: hashes_of(list(others), purpose) for purpose in ("test", "val")}
    tested = {item_id for item_id in free if draws["test"][item_id] % 1_000_000 < 150_000}
    chosen = {
        item_id for item_id in others.keys() - tested if draws["val"][item_id] % 1_000_000 < 250_000
    }
    for found, drawn, share in ((tested, free, 0.15), (chosen, others.keys() - tested, 0.25)):
        assert len(found) / len(drawn) == pytest.approx(
            share, abs=4 * (share * (1 - share) / len(drawn)) ** 0.5
        )
    expected = {i: "test" if i in tested else "val" if i in chosen else "train" for i in others}
    assert {item_id: row["split"] for item_id, row in others.items()} == expected


def test_rows_of_all_parts_are_ordered_by_hash(classes: Shards) -> None:
    order = hashes_of(list(classes.splits), "order")
    for name, rows in classes.rows.items():
        found = [row["item_id"] for row in rows]
        assert found == sorted(found, key=lambda item_id: (order[item_id], item_id)), name


def test_parts_are_nearly_equal_and_row_groups_full_but_the_last(classes: Shards) -> None:
    counts = {name: len(rows) for name, rows in classes.rows.items()}
    parts = {name: classes.row_groups(name) for name in NAMES}
    assert {name: len(found) for name, found in parts.items()} == {
        name: round(count / 700) or 1 for name, count in counts.items()
    }
    assert len(parts["shards_all"]) == 5
    for name, found in parts.items():
        mean = counts[name] / len(found)
        assert all(sum(groups) == pytest.approx(mean, abs=5 * mean**0.5) for groups in found)
        assert all(size == 1000 for groups in found for size in groups[:-1])
        assert all(0 < groups[-1] <= 1000 for groups in found)


def test_manifests_say_what_the_trainer_has_to_know(classes: Shards) -> None:
    for dataset in classes.datasets.values():
        info = dataset.manifest.info
        assert {name: info[name] for name in KEPT_INFO} == INFO
        assert (
            info["task"],
            info["row_group_rows"],
            dataset.manifest.rank,
            dataset.manifest.seed,
        ) == ("class", 1000, None, SEED)
        assert all(pq.read_schema(path) == TABLES[dataset.name] for path in dataset.paths)
        labels = Counter(row["label"] for row in classes.rows[dataset.name])
        assert info["class_counts"] == [labels[number] for number in range(3)]
    assert {row["item"]: row["pixels"] for row in classes.rows["shards_all"]} == {
        row["item"]: row["pixels"] for row in PICTURES
    }


# --------------------------------------------------------------------------------------------------
# factors

# Items 0 to 199 have factors, 200 to 259 were withheld whole, of 260 to 299 nobody knows anything.
# Item 5 has a withheld rating of one of its raters only, and items 300 and 1000 have no picture.
FACTORS = [{"item": item, "factors": [float(item), 1.0]} for item in [*range(200), 300]]
HELD = [
    {"user": 1, "item": item, "value": 1.0, "cold": item != 5}
    for item in [5, *range(200, 260), 1000, 200]
]
FACTOR_SECTIONS: Row = {
    "ratings": {"path": "unread", "value": "one", "columns": {"user_id": "u", "item_id": "i"}},
    "als": {"rank": 2},
    "shards": {"task": "factors", "val": 0.25, "rows_per_shard": 60, "seed": SEED},
}


def publish_factors(publish: Publish, root: Path, num_pictures: int) -> None:
    size = {"height": 512, "width": 1024}  # as far as anybody looks: 1.5 MiB each
    publish(
        root,
        "prepare-images",
        "images",
        [picture(i, split="test") for i in range(num_pictures)],
        **INFO | size,
    )
    publish(root, "split-ratings", "holdout", HELD)
    publish(root, "train-als", "item_factors", FACTORS)
    path = root / "item_factors" / "manifest.json"
    path.write_text(path.read_text().replace('"rank": null', '"rank": 2'))


@pytest.fixture(scope="module")
def by_cores(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Shards]:
    """Shards of the same pictures by the number of cores, on which that of parts depends."""
    root = tmp_path_factory.mktemp("factors")
    publish_factors(publish, root, 300)
    return {cores: Shards(root, FACTOR_SECTIONS, cores) for cores in (1, 3, 7)}


def test_items_withheld_whole_are_tested_on_and_never_seen_before(
    by_cores: dict[int, Shards],
) -> None:
    shards = by_cores[3]
    shards.assert_split()
    assert {row["item"] for row in shards.rows["shards_test"]} == set(range(200, 260))
    trained = {
        row["item"]: row["factors"]
        for name in ("shards_train", "shards_val")
        for row in shards.rows[name]
    }
    assert trained == {item: [float(item), 1.0] for item in range(200)}
    assert all(row["factors"] is None for row in shards.rows["shards_test"])
    assert len(shards.rows["shards_val"]) == pytest.approx(50, abs=25)


def test_manifests_say_how_targets_are_spread(by_cores: dict[int, Shards]) -> None:
    for name, rows in by_cores[3].rows.items():
        info = by_cores[3].datasets[name].manifest.info
        factors = [row["factors"] for row in rows if row["factors"]]
        if factors:
            assert info["target_mean"] == pytest.approx(np.mean(factors, axis=0))
            assert info["target_std"] == pytest.approx(np.std(factors, axis=0))
        else:
            assert (name, info["target_mean"], info["target_std"]) == ("shards_test", None, None)


def test_the_number_of_parts_may_be_asked_for(publish: Publish, root: Path) -> None:
    publish_factors(publish, root, 300)
    found = Shards(
        root, FACTOR_SECTIONS | {"shards": FACTOR_SECTIONS["shards"] | {"num_shards": 3}}
    )
    assert {len(found.row_groups(name)) for name in NAMES} == {3}


def test_items_without_factors_are_predicted_only(by_cores: dict[int, Shards]) -> None:
    rows = by_cores[3].rows["shards_all"]
    assert {row["item"] for row in rows} == set(range(300))
    assert {row["item"] for row in rows if row["split"] == "none"} == set(range(260, 300))
    assert {row["label"] for row in rows} == {None}
    manifest = by_cores[3].datasets["shards_train"].manifest
    assert (manifest.rank, manifest.info["task"], "classes" in manifest.info) == (
        2,
        "factors",
        False,
    )


@pytest.mark.parametrize("cores", [1, 7])
def test_the_number_of_cores_changes_neither_order_nor_split_nor_parts(
    by_cores: dict[int, Shards], cores: int
) -> None:
    assert by_cores[cores].rows == by_cores[3].rows
    for name in NAMES:
        assert by_cores[cores].row_groups(name) == by_cores[3].row_groups(name)
    assert len(by_cores[3].row_groups("shards_all")) == 5


def test_row_groups_of_large_pictures_stay_below_four_mebibytes(
    by_cores: dict[int, Shards],
) -> None:
    for name in NAMES:
        assert by_cores[3].datasets[name].manifest.info["row_group_rows"] == 2
        for sizes in by_cores[3].row_groups(name):
            assert sizes == [2] * (sum(sizes) // 2) + [1] * (sum(sizes) % 2)


def test_an_item_keeps_its_split_and_place_when_others_arrive(
    by_cores: dict[int, Shards], publish: Publish, root: Path
) -> None:
    publish_factors(publish, root, 230)
    before, after = Shards(root, FACTOR_SECTIONS), by_cores[3]
    assert len(before.splits) == 230
    assert before.splits.items() <= after.splits.items()
    assert [row["item_id"] for row in after.rows["shards_all"] if row["item"] < 230] == list(
        before.splits
    )


# --------------------------------------------------------------------------------------------------
# failures


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 5, "pictures have 1 different labels, and a network needs two; set images.labels"),
        ([None] * 5, "pictures have 0 different labels"),
        (
            ["a", "b"],
            (
                r"no picture is for val \(found: 2 train\); pictures need a label, or shards.val is"
                r" too small"
            ),
        ),
    ],
)
def test_nothing_to_learn_is_told(
    publish: Publish, root: Path, labels: list[str], message: str
) -> None:
    publish(
        root,
        "prepare-images",
        "images",
        [picture(i, label=label) for i, label in enumerate(labels)],
        **INFO,
    )
    with pytest.raises(EmptyDatasetError, match=message):
        Shards(root, {"shards": {"task": "class", "val": 0.001}})
    assert not list(root.glob("shards_*/manifest.json"))
