"""What the tests of the report share: pipelines, roots written by hand, and the page read as a
browser would.
"""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Manifest, Part, ProducedBy, commit, run_folder
from emberline.datasets.parts import write_file, write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.runs import runner

RUN_ID = "20250102T030405-00000000"
FINGERPRINT = "abcdef012345" + "0" * 52
HOSTILE = 'A "fine" <new> <script>alert(1)</script> & co, Größe 5'
REORDERING = "abc\u202efed\u2069 \x07end"
VOID = {"meta", "img", "br", "use", "path"}

RATINGS = """
[ratings]
path = "none.csv"
columns = { user_id = "u", item_id = "i", value = "v" }
[split]
by = "fraction"
fraction = 0.5
[als]
rank = 2
[recommend]
top_k = 3
[evaluate]
k = [3]
[report]
title = "Tom & Jerry's <shop>"
users = 2
"""
PICTURES = """
[attributes.items]
path = "none.csv"
columns = { id = "i", title = "t" }
[images]
path = "none"
"""
CLASSES = """
[images]
path = "none"
[shards]
task = "class"
test = 0.5
[cnn]
[predict]
[export]
[forest]
[evaluate]
[report]
title = "Classes"
"""
HOLDOUT = {
    "by": "fraction",
    "fraction": 0.5,
    "after": None,
    "last_days": None,
    "n": None,
    "cold_items": 0.2,
    "seed": 7,
}
ACCOUNTS = {
    "read": 1_234_567,
    "kept": 7,
    "merged": 34_560,
    "rejected": 1_200_000,
    "filtered": 0,
}
CLEANING = {"value": "rating"}
SETS = {"kept": 7, "ratings": 5, "validation": 0, "holdout": 2}
RANKING_REPORT = {
    "protocol": {
        "name": "fraction holdout, seed 7",
        "hash": "0123456789ab",
        "holdout": HOLDOUT,
        "users": "everybody",
    },
    "metrics": [
        {
            "model": "als",
            "metric": "ndcg@3",
            "value": 0.25,
            "standard_error": 0.0125,
            "users": 2500,
        },
        {
            "model": "als",
            "metric": "recall@3/n",
            "value": 0.5,
            "standard_error": None,
            "users": 2500,
        },
        {"model": "als", "metric": "coverage@3", "value": 0.75, "items": 4},
        {
            "model": "random",
            "metric": "ndcg@3",
            "value": 0.125,
            "standard_error": 0.002,
            "users": 2500,
        },
        {
            "model": "random",
            "metric": "recall@3/n",
            "value": 0.0625,
            "standard_error": None,
            "users": 2500,
        },
        {"model": "random", "metric": "coverage@3", "value": 1.0, "items": 4},
    ],
}
FORMS = [
    {
        "form": form,
        "file": f"model-{form}.tflite",
        "bytes": size,
        "value": 0.9 - loss,
        "loss": loss,
        "most": 0.005,
        "distance": 0.0,
        "pictures_per_second": speed,
        "scale": 1.0,
        "zero_point": 0,
    }
    for form, size, loss, speed in [
        ("keras", 5000, 0.0, 800.0),
        ("float32", 4000, 0.0, 1000.0),
        ("int8", 1100, 0.0125, 2540.0),
    ]
]
CLASSES_REPORT = {
    "protocol": {
        "name": "test pictures of 2 classes",
        "hash": "ba9876543210",
        "pictures": "those of the split test",
        "classes": 2,
    },
    "metrics": [
        {
            "model": "cnn",
            "metric": "accuracy",
            "value": 0.8,
            "standard_error": 0.1,
            "pictures": 10,
        },
        {
            "model": "most-frequent",
            "metric": "accuracy",
            "value": 0.6,
            "standard_error": 0.1,
            "pictures": 10,
        },
    ],
    "classes": ["<cat>", "dog"],
    "per_class": [
        {
            "model": "cnn",
            "class": "<cat>",
            "precision": 0.75,
            "recall": 1.0,
            "F1": 6 / 7,
            "pictures": 6,
        },
        {
            "model": "cnn",
            "class": "dog",
            "precision": 1.0,
            "recall": 0.5,
            "F1": 2 / 3,
            "pictures": 4,
        },
        {
            "model": "most-frequent",
            "class": "dog",
            "precision": 0.0,
            "recall": 0.0,
            "F1": 0.0,
            "pictures": 4,
        },
    ],
    "confusion": {"cnn": [[6, 0], [2, 2]], "most-frequent": [[6, 0], [4, 0]]},
}
HISTORY = [
    {
        "epoch": 1,
        "loss": 2.0,
        "val_loss": 1.5,
        "val_accuracy": 0.5,
        "learning_rate": 0.1,
        "images_per_second": 10.0,
    },
    {
        "epoch": 2,
        "loss": 1.0,
        "val_loss": 1.25,
        "val_accuracy": 0.75,
        "learning_rate": 0.1,
        "images_per_second": 10.0,
    },
]


# --------------------------------------------------------------------------------------------------
# datasets


def publish(
    root: Path,
    stage: str,
    name: str,
    rows: list[dict[str, Any]],
    inputs: dict[str, Any] | None = None,
    **info: Any,
) -> None:
    """Make a table of the rows, as if a run of the stage had written it."""
    schema = TABLES[name]
    table = pa.Table.from_pylist(rows, schema=schema)
    part = write_part([table], root / name / run_folder(FINGERPRINT, RUN_ID), "part-00000", schema)
    commit(
        root,
        Manifest(
            name, "table", fields_of(schema), len(rows), [part], _by(stage, inputs), info=info
        ),
    )


def publish_files(root: Path, stage: str, name: str, files: dict[str, Any], **info: Any) -> None:
    """Make an artifact of JSON files."""
    folder = root / name / run_folder(FINGERPRINT, RUN_ID)
    parts: list[Part] = [
        write_file(json.dumps(content).encode(), folder, file) for file, content in files.items()
    ]
    commit(root, Manifest(name, "artifact", [], 0, parts, _by(stage, None), info=info))


def _by(stage: str, inputs: dict[str, Any] | None) -> ProducedBy:
    config = CLEANING if stage == "prepare-ratings" else {}
    return ProducedBy(stage, FINGERPRINT, RUN_ID, config, inputs=inputs or {})


def pixels_of(item: int) -> bytes:
    """A picture of 3 x 2 pixels in colour, another one for every item."""
    return bytes((item * 40 + place) % 256 for place in range(2 * 3 * 3))


def publish_ratings(root: Path, inputs: dict[str, Any] | None = None) -> None:
    """Two users, five items; the user 0 has rated 0, 1 and 2, the user 1 the items 1 and 2."""
    rated = [(0, 0, 3.0, 1), (0, 1, 5.0, 2), (0, 2, 5.0, 3), (1, 1, 4.0, None), (1, 2, 1.0, None)]
    when = {day: datetime(2024, 5, day, tzinfo=UTC) for day in (1, 2, 3)}
    ratings = [
        {"user": u, "item": i, "value": v, "timestamp": when.get(day or 0)}
        for u, i, v, day in rated
    ]
    reasons = {"rejected: value is not a number": 1_200_000, "merged: an older rating": 34_560}
    stage = "prepare-ratings"
    everything = [row | {"split": None} for row in ratings]
    publish(root, stage, "interactions", everything, inputs, accounts=ACCOUNTS, reasons=reasons)
    publish(root, "split-ratings", "ratings", ratings, accounts=SETS, cleaning=CLEANING)
    publish(root, "split-ratings", "validation", [])
    held_out = [{"user": 0, "item": 3, "value": 5.0, "timestamp": None, "cold": False}]
    publish(root, "split-ratings", "holdout", held_out, protocol=HOLDOUT)
    publish(root, stage, "users", [{"user": 0, "user_id": "ann"}, {"user": 1, "user_id": "b<o>b"}])
    titles = {0: HOSTILE, 1: "Plain", 2: REORDERING, 3: None, 4: "New thing"}
    publish(
        root,
        stage,
        "items",
        [{"item": i, "item_id": f"i-{i}", "title": title} for i, title in titles.items()],
    )
    publish(root, stage, "rejected_ratings", [])
    for table in ("user_factors", "item_factors", "user_rating_factors", "item_rating_factors"):
        publish(root, "train-als", table, [])
    lists = [(0, 1, 3, "als"), (0, 2, 4, "cnn"), (1, 1, 0, "als")]
    rows = [
        {"user": u, "rank": rank, "item": i, "score": 1 / rank, "model": model}
        for u, rank, i, model in lists
    ]
    publish(root, "recommend-holdout", "holdout_recommendations", rows)
    later = [row | {"score": row["score"] / 10} for row in rows]
    publish(root, "recommend", "recommendations", later)
    publish_files(
        root, "evaluate", "metrics", {"metrics.json": {"reports": {"holdout": RANKING_REPORT}}}
    )
    publish_measures(root)


def publish_measures(root: Path) -> None:
    for table in ("user_measures", "item_measures"):
        publish(root, "evaluate", table, [])


def publish_pictures(root: Path, items: tuple[int, ...] = (0, 1, 2, 3)) -> None:
    """Pictures of all items but the last, whose title is in the attributes."""
    accounts = {"read": 6, "kept": len(items), "rejected": 6 - len(items)}
    rows = [
        {"item": i, "item_id": f"i-{i}", "label": None, "split": None, "pixels": pixels_of(i)}
        for i in items
    ]
    facts = {
        "height": 2,
        "width": 3,
        "channels": 3,
        "accounts": accounts,
        "reasons": {"not a picture": 6 - len(items)},
    }
    publish(root, "prepare-images", "images", rows, **facts)
    publish(root, "prepare-images", "rejected_images", [])
    attributes = {
        "title": "From the attributes",
        "text": None,
        "label": None,
        "genres": [],
        "tags": [],
        "numbers": [],
    }
    publish(root, "prepare-items", "item_attributes", [{"item": 3, "item_id": "i-3", **attributes}])
    publish(root, "prepare-items", "rejected_attributes", [])


def publish_looked_at(root: Path) -> None:
    """Two test pictures, of whose pixels one speaks for the class, and one against it."""
    heat = [0.5, 0.0, 0.0, 0.0, 0.0, -0.25]
    rows = [
        {
            "item": item,
            "label": 0,
            "predicted": item,
            "score": 0.75,
            "plain_score": 0.5,
            "pixels": pixels_of(item),
            "heat": heat,
        }
        for item in (0, 1)
    ]
    facts = {"height": 2, "width": 3, "channels": 3, "classes": ["<cat>", "dog"]}
    publish(root, "explain-pictures", "class_reasons", rows, **facts)


def publish_classes(root: Path) -> None:
    """What a pipeline of pictures and their classes has written."""
    publish_pictures(root)
    publish_looked_at(root)
    publish_files(
        root,
        "train-cnn",
        "cnn",
        {"history.json": {}},
        task="class",
        history=HISTORY,
        best_epoch=2,
        seconds=61.0,
    )
    publish(root, "predict-items", "predicted_classes", [])
    said = {"measured_by": "accuracy", "measured_on": "shards_test", "measured_pictures": 1234}
    publish_files(root, "export-model", "exported_model", {"model.keras": {}}, **said, forms=FORMS)
    publish(root, "train-forest", "forest_classes", [])
    publish_files(
        root,
        "train-forest",
        "forest",
        {"importances.json": {}},
        importances=[0.25, 0.75],
        num_trees=3,
        num_features=2,
    )
    publish_files(
        root, "evaluate", "metrics", {"metrics.json": {"reports": {"classes": CLASSES_REPORT}}}
    )
    publish_measures(root)


# --------------------------------------------------------------------------------------------------
# page


@dataclass
class Element:
    """One element: its attributes, and the text in it and in what it holds."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A page's elements in order, as html.parser reads them."""

    html: str
    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        self.handle_data(" ")
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self._open):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def find(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a tag whose attributes hold these words; `class_` is the attribute
        class.
        """
        wanted = {name.rstrip("_"): word for name, word in attributes.items()}
        found = (element for element in self.elements if element.tag == tag)
        return [
            e
            for e in found
            if all(word in e.attributes.get(name, "").split() for name, word in wanted.items())
        ]

    def texts(self, tag: str, **attributes: str) -> list[str]:
        """Their texts, with every white space, and every beginning of an element, as one blank."""
        return [" ".join(element.text.split()) for element in self.find(tag, **attributes)]

    def pictures(self) -> dict[str, tuple[tuple[int, int], bytes]]:
        """Size (width, height) and pixels of each picture, by its alternative text."""
        found = {}
        for element in self.find("img"):
            data = base64.b64decode(
                element.attributes["src"].removeprefix("data:image/png;base64,")
            )
            with Image.open(io.BytesIO(data)) as picture:
                found[element.attributes["alt"]] = (picture.size, picture.tobytes())
        return found


Report = Callable[..., Page]
PIPELINES = {"ratings": RATINGS, "pictures": RATINGS + PICTURES, "classes": CLASSES}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "shop-root"


@pytest.fixture(scope="session")
def write_ratings() -> Callable[..., None]:
    return publish_ratings


@pytest.fixture(scope="session")
def write_pictures() -> Callable[..., None]:
    return publish_pictures


@pytest.fixture(scope="session")
def write_files() -> Callable[..., None]:
    return publish_files


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """`report(pipeline, root, *overrides)` is the page that the stage writes for what is in the
    root.
    """

    def write(pipeline: str, root: Path, *overrides: str) -> Page:
        path = tmp_path_factory.mktemp("pipelines") / "pipeline.toml"
        path.write_text(PIPELINES[pipeline], encoding="utf-8")
        config = pipelines.load(path, overrides)
        runner.run(config, root, stages.select(config, only="report"), force=True)
        return Page(manifests.load(root, "report").paths[0].read_text(encoding="utf-8"))

    return write


@pytest.fixture(scope="session")
def whole(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a pipeline with ratings and pictures."""
    root = tmp_path_factory.mktemp("whole")
    publish_ratings(root)
    publish_pictures(root)
    return report("pictures", root)


@pytest.fixture(scope="session")
def classified(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a pipeline without ratings."""
    root = tmp_path_factory.mktemp("classified")
    publish_classes(root)
    return report("classes", root)
