"""Reasons of real people's lists beside what happens when the event that they name is taken away,
and the person is solved again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.reasons import oracle

from emberline import pipelines, stages
from emberline.cf.als.gramians import Grams
from emberline.cf.als.half_step import tiles
from emberline.cf.als.objective import Objective
from emberline.cf.blocks import Block
from emberline.cf.equations import Apart, Common
from emberline.datasets import manifest as manifests
from emberline.numeric.arrays import Array, Float64
from emberline.runs import runner

PIPELINES = Path(__file__).parents[2] / "jobs" / "pipelines"
LOGS = {"movielens": "movielens-latest-small/ratings.csv", "retail": "online-retail"}
STAGES = "prepare-ratings,split-ratings,train-als,refit,recommend,explain"
USERS, MOST, PAIRS, LISTED = 500, 1_000, 1_000, 10
# each row of the table of objectives in docs/als.md, and what its settings change
OBJECTIVES = {
    "explicit": Objective(False, 0.1),
    "implicit": Objective(True, 0.2, alpha=4.0),
    "plain sum": Objective(True, 5.0, 0.0, 4.0),
    "log": Objective(True, 0.2, confidence="log"),
    "exp": Objective(True, 0.2, confidence="exp"),
    "iALS": Objective(True, 0.05, unobserved_weight=0.1),
}

pytestmark = pytest.mark.faults


@dataclass(frozen=True)
class Real:
    """A dataset with lists and reasons: what each of its users has rated, and factors by item."""

    root: Path
    objective: Objective
    factors: Array
    histories: dict[int, tuple[Array, Array]]

    def drop(self, user: int, item: int, past: int) -> float:
        """Of the user's score of an item, without a past one, by solving twice."""
        items, values = self.histories[user]
        left = items != past
        change = self.solved(user) - self.solve(items[left], values[left], self.objective)
        return float(self.exact[item] @ change)

    def solved(self, user: int) -> Float64:
        if user not in self._known:
            self._known[user] = self.solve(*self.histories[user], self.objective)
        return self._known[user]

    def solve(self, items: Array, values: Array, objective: Objective) -> Float64:
        return oracle.solved(self.exact, items, values, objective, self._squares)

    @cached_property
    def exact(self) -> Float64:
        """The factors in float64."""
        return self.factors.astype(float)

    @cached_property
    def _squares(self) -> Float64:
        return self.exact.T @ self.exact

    @cached_property
    def _known(self) -> dict[int, Float64]:
        return {}


def read(root: Path, name: str, *columns: str) -> list[Array]:
    dataset = manifests.load(root, name)
    table = pa.concat_tables([pq.read_table(path, columns=list(columns)) for path in dataset.paths])
    return [table[column].to_numpy() for column in columns]


@pytest.fixture(scope="module", params=LOGS)
def real(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    root = tmp_path_factory.mktemp(request.param) / "root"
    settings = (f"ratings.path={shared_data / LOGS[request.param]}", "explain.top=3")
    config = pipelines.load(PIPELINES / f"{request.param}.toml", settings)
    runner.run(config, root, stages.select(config, only=STAGES))
    items, lists = read(root, "refitted_item_factors", "item", "factors")
    factors = np.zeros((items.max() + 1, len(lists[0])), np.float32)
    factors[items] = np.stack(lists)
    user, item, value = read(root, "interactions", "user", "item", "value")
    order = np.lexsort((item, user))
    ends = np.flatnonzero(np.diff(user[order])) + 1
    groups = zip(
        np.unique(user), np.split(item[order], ends), np.split(value[order], ends), strict=True
    )
    objective = Objective(
        True,
        config.als.reg_param,
        config.als.reg_exponent,
        alpha=config.als.alpha,
        confidence="exp" if request.param == "movielens" else "log",
        mean=float(value.mean()),
        deviation=float(value.std()),
    )
    yield Real(root, objective, factors, {user: own for user, *own in groups})


def told(real: Real) -> list[tuple[int, int, int, int, float]]:
    """User, item, past item, place and drop of all reasons of `USERS` people."""
    columns = read(real.root, "reasons", "user", "item", "past_item", "place", "drop")
    users = np.random.default_rng(1).permutation(np.unique(columns[0]))[:USERS]
    kept = np.isin(columns[0], users) & ~np.isnan(columns[2])
    rows = zip(*(column[kept] for column in columns), strict=True)
    return [
        (int(user), int(item), int(past), int(place), float(drop))
        for user, item, past, place, drop in rows
    ]


def test_a_drop_is_found_when_the_event_is_taken_away(real: Real) -> None:
    rows = told(real)
    assert len({row[0] for row in rows}) == USERS
    chosen = np.random.default_rng(2).permutation(len(rows))[:PAIRS]
    wrong = []
    for user, item, past, _, drop in (rows[row] for row in chosen):
        score = abs(float(real.factors[item] @ real.solved(user)))
        wrong.append(abs(drop - real.drop(user, item, past)) / score)
        assert drop == pytest.approx(real.drop(user, item, past), rel=1e-4, abs=1e-5 * score)
    print("largest difference, as a share of the score:", max(wrong))


def test_the_first_reason_matters_more_than_any_other_event_and_than_a_shuffled_one(
    real: Real,
) -> None:
    rng, rows = np.random.default_rng(3), [row for row in told(real) if row[3] == 1]
    first = {(user, item): past for user, item, past, _, _ in rows}
    better, drops, shuffled = 0, 0.0, 0.0
    chosen = [rows[at] for at in rng.permutation(len(rows))[:PAIRS]]
    for user, item, past, _, _ in chosen:
        drop = real.drop(user, item, past)
        better += drop >= real.drop(user, item, int(rng.choice(real.histories[user][0])))
        others = [one for (who, what), one in first.items() if who == user and what != item]
        drops += drop
        shuffled += real.drop(user, item, int(rng.choice(others or [past])))
    print("as much as a random event:", better / len(chosen), "mean", drops / len(chosen))
    print("mean drop by the reason of another place:", shuffled / len(chosen))
    assert better >= 0.99 * len(chosen)
    assert shuffled < 0.9 * drops


@pytest.mark.parametrize("name", OBJECTIVES)
def test_contributions_add_up_to_the_score_of_whoever_is_solved_exactly(
    real: Real, name: str
) -> None:
    objective = OBJECTIVES[name]
    values = np.concatenate([own[1] for own in real.histories.values()])
    objective = replace(objective, mean=float(values.mean()), deviation=float(values.std()))
    users = np.array(sorted(real.histories)[:MOST], np.int32)
    block, factors = blocked(real, users), real.factors
    sums = Grams.of(factors, np.ones(len(factors), np.int64))
    common = Common.of(factors, sums, objective)
    items = np.random.default_rng(4).integers(0, len(factors), (len(users), LISTED))
    penalties = objective.penalties(block, len(factors))
    worst = 0.0
    for rows, columns, tile in tiles(block, common.items, objective):
        none = np.zeros(len(rows))
        apart = Apart.of(
            tile, columns, factors[items[rows]], common, penalties[rows], none, tile.e > 0
        )
        row, item, event = np.indices((len(rows), LISTED, tile.e.shape[1])).reshape(3, -1)
        parts = apart.contributions(row, item, event).reshape(len(rows), LISTED, -1)
        for place, number in enumerate(rows):
            x = real.solve(*real.histories[int(users[number])], objective)
            exact = real.exact[items[number]] @ x
            size = np.linalg.norm(factors[items[number]], axis=1) * np.linalg.norm(x)
            found = parts[place].sum(axis=1, dtype=float)
            worst = max(worst, float(np.max(np.abs(found - exact) / size)))
    print(name, "largest difference, as a share of the score's size:", worst)
    assert worst < 1e-5


def blocked(real: Real, users: Array) -> Block:
    """The histories of some users."""
    own = [real.histories[int(user)] for user in users]
    indptr = np.cumsum([0, *(len(items) for items, _ in own)]).astype(np.int64)
    columns, values = (np.concatenate([each[side] for each in own]) for side in (0, 1))
    return Block(users, indptr, columns.astype(np.int32), values.astype(np.float32))
