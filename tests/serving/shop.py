"""A small shop, run through its pipeline, and what its tables hold by outside ids."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.runs import runner

Row = dict[str, Any]
USERS, ITEMS, NEW = 60, 30, 6
EXCLUDED = {"i3", "i4", "i31"}
PIPELINE = """
[ratings]
path = "log.csv"
columns = {{ user_id = "user", item_id = "item", value = "n" }}
value = "count"
[split]
by = "fraction"
fraction = 0.2
{models}
[explain]
min_support = 1
[spark]
engine = "here"
master = "local[2]"
"""
ALS = """
[attributes.items]
path = "items.csv"
columns = {{ id = "item", text = "words" }}
[als]
rank = 4
reg_param = 0.3
{als}
[content]
[recommend]
top_k = 5
cold_share = 0.4
exclude = "exclude.csv"
"""
NEIGHBORS = """
[cosine]
[recommend]
model = "item-neighbors"
top_k = 5
exclude = "exclude.csv"
"""


def run_in(folder: Path, models: str) -> Path:
    """Each buys eight items of their half; items of a half are described alike, and the last are
    of neither.
    """
    rng = np.random.default_rng(4)
    lines = ["user,item,n"]
    for user in range(USERS):
        half = np.arange(ITEMS)[user % 2 :: 2]
        for item in rng.choice(half, 8, replace=False):
            lines.append(f"u{user},i{item},{rng.integers(1, 5)}")
    words = (("wool", "silk"), ("iron", "steel"))
    described = [f"i{item},{' '.join(words[item % 2])}" for item in range(ITEMS + NEW)]
    (folder / "log.csv").write_text("\n".join(lines))
    (folder / "items.csv").write_text("\n".join(["item,words", *described]))
    (folder / "exclude.csv").write_text("\n".join(["item_id", *sorted(EXCLUDED)]))
    (folder / "p.toml").write_text(PIPELINE.format(models=models))
    config = pipelines.load(folder / "p.toml")
    runner.run(config, folder / "root", stages.select(config))
    return folder / "root"


def rows_of(root: Path, name: str) -> list[Row]:
    dataset = manifests.load(root, name)
    found: list[Row] = pa.concat_tables([pq.read_table(path) for path in dataset.paths]).to_pylist()
    return found


class Shop:
    """What a root holds, by outside ids."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.users = {row["user"]: row["user_id"] for row in rows_of(root, "users")}
        known = [*rows_of(root, "items")]
        if manifests.exists(root, "item_attributes"):
            known += rows_of(root, "item_attributes")
        self.items = {row["item"]: row["item_id"] for row in known}
        self.events: dict[str, dict[str, float]] = {}
        for row in rows_of(root, "interactions"):
            of = self.events.setdefault(self.users[row["user"]], {})
            of[self.items[row["item"]]] = row["value"]
        self.lists: dict[str, list[tuple[str, float, str]]] = {}
        for row in sorted(rows_of(root, "recommendations"), key=lambda row: row["rank"]):
            place = (self.items[row["item"]], row["score"], row["model"])
            self.lists.setdefault(self.users[row["user"]], []).append(place)
