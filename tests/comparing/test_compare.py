"""Two runs side by side: what is told of them, beside loops, and what is refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from emberline import stages
from emberline.cli.app import app
from emberline.cli.compare import show_comparison
from emberline.comparing.comparison import Comparison
from emberline.comparing.run import Run
from emberline.errors import ConfigError, DataError, ManifestError
from emberline.runs import runner
from emberline.runs.roots import Roots
from emberline.sections.config import Config

Row = dict[str, Any]
Publish = Callable[..., None]
Lists = dict[int, list[int]]
RNG = np.random.default_rng(9)
USERS, ITEMS = range(60), range(30)
HELD = {user: set(RNG.choice(ITEMS, 4, replace=False).tolist()) for user in USERS}
WORSE: Lists = {user: RNG.permutation(ITEMS)[:5].tolist() for user in USERS}
# of half of the users the first item is right
BETTER: Lists = {
    user: [min(HELD[user]), *(item for item in items if item != min(HELD[user]))][:5]
    if user % 2
    else items
    for user, items in WORSE.items()
}
PROTOCOL: Row = {"by": "fraction", "fraction": 0.2, "seed": 1}


def publish_run(
    publish: Publish,
    root: Path,
    lists: Lists,
    model: str = "item-neighbors",
    protocol: Row = PROTOCOL,
    order: list[int] | None = None,
    **config: Any,
) -> Path:
    """A root in which lists are evaluated; by `order`, users have other indices, and the same
    outside ids.
    """
    index = dict(zip(USERS, order or USERS, strict=True))
    publish(
        root, "prepare-ratings", "users", [{"user": index[u], "user_id": f"c{u}"} for u in USERS]
    )
    publish(root, "prepare-ratings", "items", [{"item": i, "item_id": f"p{i}"} for i in ITEMS])
    rated = [{"user": 1000 + i, "item": i, "value": 1.0} for i in ITEMS]
    publish(root, "split-ratings", "ratings", rated, cleaning={})
    held = [
        {"user": index[u], "item": i, "value": 1.0, "cold": False} for u in USERS for i in HELD[u]
    ]
    publish(root, "split-ratings", "holdout", held, protocol=protocol, cleaning={})
    places = [
        {"user": index[u], "item": i, "rank": rank, "score": -float(rank), "model": model}
        for u, items in lists.items()
        for rank, i in enumerate(items, 1)
    ]
    made = {"model": model, **config}
    publish(root, "recommend-holdout", "holdout_recommendations", places, config=made)
    sections = {"cosine": {}, "recommend": {"model": model}, "evaluate": {"k": (5,)}}
    settings = Config.model_validate(sections)
    runner.run(settings, root, stages.select(settings, "evaluate"))
    return root


@pytest.fixture(scope="module")
def runs(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`runs(name)`: a root."""
    place = tmp_path_factory.mktemp("runs")
    order = RNG.permutation(len(USERS)).tolist()
    publish_run(publish, place / "before", WORSE, top_k=5)
    publish_run(publish, place / "now", BETTER, top_k=10)
    publish_run(publish, place / "renamed", BETTER, order=order, top_k=10)
    publish_run(publish, place / "model", BETTER, model="user-neighbors", top_k=5)
    publish_run(publish, place / "protocol", BETTER, protocol=PROTOCOL | {"fraction": 0.3})
    return lambda name: place / name


def compared(runs: Callable[[str], Path], now: str) -> Comparison:
    return Comparison.of(*(Run.of(Roots(runs(name))) for name in ("before", now)))


def ndcg(items: list[int], wanted: set[int]) -> float:
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, 5))
    return sum(1 / math.log2(rank + 1) for rank, i in enumerate(items, 1) if i in wanted) / ideal


GAINS = np.array([ndcg(BETTER[u], HELD[u]) - ndcg(WORSE[u], HELD[u]) for u in USERS])


def pair_of(found: Comparison, model: str = "item-neighbors", metric: str = "ndcg@5") -> Any:
    (pair,) = [p for p in found.pairs if (p.now.model, p.now.metric) == (model, metric)]
    assert pair.compared is not None
    return pair


def test_the_difference_is_the_mean_of_every_users_and_its_interval_is_paired(
    runs: Callable[[str], Path],
) -> None:
    pair = pair_of(compared(runs, "now"))
    assert pair.units == len(USERS)
    assert pair.compared.difference == pytest.approx(GAINS.mean())
    low, high = pair.compared.interval
    expected = 2 * 2 * GAINS.std(ddof=1) / math.sqrt(len(GAINS))
    assert low < GAINS.mean() < high and high - low == pytest.approx(expected, rel=0.15)
    assert pair.compared.adjusted < 0.005


def test_users_are_the_same_by_their_ids_and_not_by_their_indices(
    runs: Callable[[str], Path],
) -> None:
    pair, renamed = (pair_of(compared(runs, name)) for name in ("now", "renamed"))
    assert renamed.units == pair.units
    assert renamed.compared.difference == pytest.approx(pair.compared.difference, rel=1e-12)
    assert renamed.compared.interval == pytest.approx(pair.compared.interval, rel=1e-12)


def test_a_run_beside_itself_is_not_told_apart(runs: Callable[[str], Path]) -> None:
    found = compared(runs, "before")
    assert found.settings == [] and not found.is_other_code
    pair = pair_of(found)
    assert (pair.compared.difference, pair.compared.interval, pair.compared.p) == (0, None, 1)


def test_what_changed_is_told_by_stage_and_setting(runs: Callable[[str], Path]) -> None:
    (change,) = compared(runs, "now").settings
    assert vars(change) == {
        "stage": "recommend-holdout",
        "setting": "top_k",
        "before": "5",
        "now": "10",
    }


def test_lists_by_another_model_are_compared(runs: Callable[[str], Path]) -> None:
    pair = pair_of(compared(runs, "model"), "user-neighbors")
    assert pair.before.model == "item-neighbors"
    assert pair.compared.difference == pytest.approx(GAINS.mean())
    assert pair_of(compared(runs, "model"), "random").before.model == "random"


def test_other_protocols_are_refused_with_what_differs(runs: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match=r"different protocols.*holdout\.fraction is '0\.2' and '0"):
        compared(runs, "protocol")


def test_a_root_without_measures_or_that_is_not_there_is_refused(
    publish: Publish, runs: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        Run.of(Roots(tmp_path / "nowhere"))
    publish(tmp_path, "split-ratings", "ratings", [], cleaning={})
    with pytest.raises(ManifestError, match=r"has no metrics; add \[evaluate\]"):
        Run.of(Roots(tmp_path))


def test_networks_of_classes_are_compared_on_the_same_pictures_by_their_ids(
    publish: Publish, tmp_path: Path
) -> None:
    """A pipeline of pictures has neither users nor a table of items; indices may be others."""
    truth = RNG.integers(0, 2, 40)
    for name, right, shift in (("before", 20, 0), ("now", 30, 100)):
        root = tmp_path / name
        pictures = [{"item": i + shift, "item_id": f"p{i}", "pixels": b"."} for i in range(40)]
        publish(root, "prepare-images", "images", pictures)
        labels = [{"label": int(label), "split": "test"} for label in truth]
        tested = [one | label for one, label in zip(pictures, labels, strict=True)]
        publish(root, "export-shards", "shards_all", tested, classes=["cat", "dog"])
        guesses = [int(label) if i < right else 1 - int(label) for i, label in enumerate(truth)]
        rows = [
            {"item": i + shift, "predicted": guess, "probability": 0.9, "top": [guess, 1 - guess]}
            for i, guess in enumerate(guesses)
        ]
        publish(root, "predict-items", "predicted_classes", rows)
        sections = {"shards": {"task": "class"}, "cnn": {}, "predict": {}, "evaluate": {}}
        config = Config.model_validate({"images": {"path": "unread"}} | sections)
        runner.run(config, root, stages.select(config, "evaluate"))
    found = Comparison.of(*(Run.of(Roots(tmp_path / name)) for name in ("before", "now")))
    pair = pair_of(found, "cnn", "accuracy")
    assert pair.units == 40 and pair.compared.difference == pytest.approx(0.25)
    low, high = pair.compared.interval
    half = 1.96 * math.sqrt(0.25 * 0.75 / 40)
    assert (low, high) == pytest.approx((0.25 - half, 0.25 + half), abs=0.03)


def test_the_command_says_what_is_better_first_by_how_much(runs: Callable[[str], Path]) -> None:
    console = Console(record=True, width=160)
    show_comparison(console, compared(runs, "now"))
    shown = console.export_text()
    size = f"{GAINS.mean():+.4f}"
    assert f"Better: holdout, ndcg@5 of item-neighbors {size} (" in shown
    assert "on 60 users, p < .005" in shown and "on the same data" in shown
    assert "recommend-holdout   top_k" in shown
    assert "most-popular" in shown and "random" in shown


def test_the_command_gives_json_and_ends_with_the_code_of_the_refusal(
    runs: Callable[[str], Path],
) -> None:
    roots = [str(runs(name)) for name in ("before", "now")]
    done = CliRunner().invoke(app, ["compare", *roots, "--format", "json"])
    told = json.loads(done.stdout)
    rows = {(row["model"], row["metric"]): row for row in told["reports"]["holdout"]["metrics"]}
    own = rows["item-neighbors", "ndcg@5"]
    assert own["difference"] == pytest.approx(GAINS.mean()) and own["verdict"] == "better"
    assert rows["random", "ndcg@5"]["verdict"] is None
    assert told["settings"][0]["setting"] == "top_k"
    refused = CliRunner().invoke(app, ["compare", *roots, "--report", "classes"])
    assert isinstance(refused.exception, DataError)
