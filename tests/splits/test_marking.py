"""Withheld interactions, counted in plain Python from the rows that were marked."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from math import floor

import pyarrow as pa
import pytest
from tests.flows import given, rows_of

from emberline.datasets import sets as sets_
from emberline.datasets import withholding
from emberline.flow.rows import Flow
from emberline.sections.split import SplitConfig
from emberline.splits.marking import Log, marked

Rating = tuple[str, str, datetime]
Pair = tuple[str, str]
Mark = Callable[..., list[tuple[str, str, datetime, bool, bool]]]
Sets = Callable[..., dict[Pair, str]]
START = datetime(2020, 1, 1, tzinfo=UTC)


def _ratings(num_users: int, num_items: int, seed: int) -> list[Rating]:
    """User n rates n items (or all of them), at different times."""
    rng = random.Random(seed)
    events = []
    for user in range(1, num_users + 1):
        for item in rng.sample(range(num_items), min(user, num_items)):
            events.append(
                (f"u{user}", f"i{item}", START + timedelta(minutes=rng.randrange(500_000)))
            )
    return events


RATINGS = _ratings(num_users=40, num_items=60, seed=5)


def marked_rows(flow: Flow, ratings: list[tuple], parts: int, **split: object) -> list[dict]:
    """The marked interactions with their outside ids. Ratings may have a fourth column, the set
    that the input or a file says; indices have gaps.
    """
    named = [(*rating, None)[:4] for rating in ratings]
    ids = [sorted({row[side] for row in named}) for side in (0, 1)]
    indices = [{name: 3000 * n for n, name in enumerate(names)} for names in ids]
    config = SplitConfig.model_validate(split)
    keys = {
        name: pa.array([index[row[side]] for row in named], pa.int32())
        for side, (name, index) in enumerate(zip(("user", "item"), indices, strict=True))
    }
    said = pa.array([row[3] for row in named], pa.string())
    interactions = pa.table(
        keys
        | {
            "value": pa.array([1.0] * len(named), pa.float32()),
            "timestamp": pa.array([row[2] for row in named], pa.timestamp("us", tz="UTC")),
            "split": said,
        }
    )
    maps = [
        pa.table({name: pa.array(index.values(), pa.int32()), f"{name}_id": list(index)})
        for name, index in zip(("user", "item"), indices, strict=True)
    ]
    log = Log(*(given(flow, table, parts) for table in (interactions, *maps)))
    pairs = pa.table(keys | {"given": said}).filter(said.is_valid())
    listed = rows_of(flow, pairs, parts) if config.reads_pairs else None
    rows = marked(flow, log, config, listed).rows.table().to_pylist()
    names = [dict(zip(index.values(), index, strict=True)) for index in indices]
    return [
        row | {"user_id": names[0][row["user"]], "item_id": names[1][row["item"]]} for row in rows
    ]


@pytest.fixture
def mark(flow: Flow) -> Mark:
    """`mark(ratings, parts=, **split)` gives user, item, time, held and cold of each rating."""

    def of_each(ratings: list[Rating], parts: int = 2, **split: object) -> list[tuple]:
        return [
            (row["user_id"], row["item_id"], row["timestamp"], row["held"], row["cold"])
            for row in marked_rows(flow, ratings, parts, **split)
        ]

    return of_each


@pytest.fixture
def sets(flow: Flow) -> Sets:
    """`sets(ratings, parts=, **split)` gives each pair's set; ratings may have a fourth column."""

    def of_each(ratings: list[tuple], parts: int = 2, **split: object) -> dict[Pair, str]:
        rows = marked_rows(flow, ratings, parts, **split)
        assert not [row for row in rows if row["chosen"] and (row["held"] or row["cold"])]
        names = {True: "holdout", False: "ratings"}
        return {
            (row["user_id"], row["item_id"]): (
                "validation" if row["chosen"] else names[row["held"] or row["cold"]]
            )
            for row in rows
        }

    return of_each


def _pairs(found: dict[Pair, str], name: str) -> set[Pair]:
    return {pair for pair, its in found.items() if its == name}


def _held(marked: Iterable[tuple[str, str, datetime, bool, bool]]) -> set[Pair]:
    return {(user, item) for user, item, _, held, _ in marked if held}


def _cold_items(marked: Iterable[tuple[str, str, datetime, bool, bool]]) -> set[str]:
    return {item for _, item, _, _, cold in marked if cold}


def test_no_holdout_marks_nothing_and_keeps_every_row(mark: Mark) -> None:
    marked = mark(RATINGS)
    assert sorted(row[:3] for row in marked) == sorted(RATINGS)
    assert {row[3:] for row in marked} == {(False, False)}


def test_a_fraction_is_taken_of_each_user_and_one_rating_always_stays(mark: Mark) -> None:
    counts = Counter(user for user, _, _ in RATINGS)
    for fraction in (0.25, 0.9):
        held = Counter(user for user, _ in _held(mark(RATINGS, by="fraction", fraction=fraction)))
        assert held == Counter(
            {user: min(floor(fraction * n + 0.5), n - 1) for user, n in counts.items()}
        )


def test_the_same_rows_are_held_out_whatever_the_partitions_and_the_order(mark: Mark) -> None:
    shuffled = random.Random(1).sample(RATINGS, len(RATINGS))
    for holdout in ({"by": "fraction", "fraction": 0.3}, {"by": "last", "n": 2, "cold_items": 0.2}):
        once = mark(RATINGS, parts=1, **holdout)
        assert sorted(once) == sorted(mark(shuffled, parts=7, **holdout))


def test_another_seed_holds_out_other_rows_of_the_same_number(mark: Mark) -> None:
    one, other = (_held(mark(RATINGS, seed=seed, by="fraction", fraction=0.3)) for seed in (1, 2))
    assert len(one) == len(other)
    assert len(one & other) < len(one) / 2


def test_one_users_rows_do_not_depend_on_the_other_users(mark: Mark) -> None:
    whole = _held(mark(RATINGS, by="fraction", fraction=0.3))
    alone = _held(
        mark([rating for rating in RATINGS if rating[0] == "u33"], by="fraction", fraction=0.3)
    )
    assert alone == {pair for pair in whole if pair[0] == "u33"}


def test_the_last_ratings_of_each_user_are_held_out_but_never_all(mark: Mark) -> None:
    per_user = defaultdict(list)
    for user, item, time in RATINGS:
        per_user[user].append((time, item))
    expected = {
        (user, item) for user, rated in per_user.items() for _, item in sorted(rated)[1:][-3:]
    }
    assert _held(mark(RATINGS, by="last", n=3)) == expected


def test_ratings_of_one_moment_are_drawn_alike_whatever_the_partitions(mark: Mark) -> None:
    ratings = [(f"u{user}", f"i{item}", START) for user in range(20) for item in range(10)]
    held = _held(mark(ratings, by="last", n=4, parts=1))
    assert Counter(user for user, _ in held) == Counter({f"u{user}": 4 for user in range(20)})
    assert len({item for _, item in held}) == 10
    assert held == _held(mark(ratings[::-1], by="last", n=4, parts=5))


def test_ratings_from_a_time_on_are_held_out(mark: Mark) -> None:
    border = START + timedelta(days=200)
    around = [
        ("a", "before", border - timedelta(microseconds=1)),
        ("a", "at", border),
        ("b", "only", border + timedelta(days=1)),
    ]
    expected = {(user, item) for user, item, time in RATINGS if time >= border} | {
        ("a", "at"),
        ("b", "only"),
    }
    assert _held(mark(RATINGS + around, by="time", after="2020-07-19")) == expected
    assert _held(mark(RATINGS + around, by="time", after="2020-07-19T02:00:00+02:00")) == expected


def test_the_last_days_count_from_the_newest_rating(mark: Mark) -> None:
    newest = max(time for _, _, time in RATINGS)
    expected = {
        (user, item) for user, item, time in RATINGS if time >= newest - timedelta(days=30.5)
    }
    assert 10 < len(expected) < 200
    assert _held(mark(RATINGS, by="time", last_days=30.5)) == expected


def test_every_rating_of_a_cold_item_is_cold_and_about_as_many_items_as_asked_for(
    mark: Mark,
) -> None:
    ratings = [
        (f"u{item % 3 + user}", f"i{item}", START) for item in range(2000) for user in range(2)
    ]
    marked = mark(ratings, cold_items=0.3)
    cold = _cold_items(marked)
    assert len(cold) == pytest.approx(600, abs=4 * (2000 * 0.3 * 0.7) ** 0.5)
    assert all(is_cold == (item in cold) and not held for _, item, _, held, is_cold in marked)
    assert len(cold ^ _cold_items(mark(ratings, cold_items=0.3, seed=2))) > 600


def test_an_item_stays_cold_when_others_come_and_when_more_are_asked_for(mark: Mark) -> None:
    few = [rating for rating in RATINGS if rating[1] < "i3"]
    some = {item for _, item, _ in few}
    assert 5 < len(some) < 60
    cold = _cold_items(mark(RATINGS, cold_items=0.3))
    assert _cold_items(mark(few, cold_items=0.3)) == cold & some
    assert cold < _cold_items(mark(RATINGS, cold_items=0.6))


def test_a_fraction_is_of_the_warm_ratings_and_a_warm_one_stays(mark: Mark) -> None:
    marked = mark(RATINGS, by="fraction", fraction=0.5, cold_items=0.4)
    warm = Counter(user for user, _, _, _, cold in marked if not cold)
    held = Counter(user for user, _ in _held(marked))
    assert held == Counter({user: min(floor(0.5 * n + 0.5), n - 1) for user, n in warm.items()})
    assert not any(held and cold for _, _, _, held, cold in marked)
    assert 0 < sum(cold for *_, cold in marked) < len(marked)


def test_each_rating_is_held_out_in_one_of_five_folds_and_folds_are_equal_shares(
    mark: Mark,
) -> None:
    folds = [_held(mark(RATINGS, by="folds", folds=5, fold=fold)) for fold in range(1, 6)]
    counts = Counter(user for user, _, _ in RATINGS)
    together = Counter(pair for fold in folds for pair in fold)
    assert together == Counter((user, item) for user, item, _ in RATINGS if counts[user] > 1)
    for fold in folds:
        for user, held in Counter(user for user, _ in fold).items():
            assert held in (counts[user] // 5, -(-counts[user] // 5))
    assert max(map(len, folds)) - min(map(len, folds)) < 0.15 * len(RATINGS) / 5


def test_folds_of_items_withhold_each_item_whole_in_one_of_them(mark: Mark) -> None:
    folds = [mark(RATINGS, by="folds", folds=3, fold=fold, of="items") for fold in range(1, 4)]
    items = [_cold_items(marked) for marked in folds]
    assert sorted(item for some in items for item in some) == sorted({i for _, i, _ in RATINGS})
    assert min(map(len, items)) > 8
    assert not any(_held(marked) for marked in folds)


def test_validation_takes_its_share_of_what_the_holdout_leaves(sets: Sets) -> None:
    without = sets(RATINGS, by="fraction", fraction=0.2, cold_items=0.2)
    found = sets(
        RATINGS,
        by="fraction",
        fraction=0.2,
        cold_items=0.2,
        validation={"by": "fraction", "fraction": 0.25},
    )
    assert _pairs(found, "holdout") == _pairs(without, "holdout")
    left = Counter(user for user, _ in _pairs(without, "ratings"))
    assert Counter(user for user, _ in _pairs(found, "validation")) == Counter(
        {user: min(floor(0.25 * n + 0.5), n - 1) for user, n in left.items()}
    )


def test_validation_by_time_is_what_came_just_before_the_holdout(sets: Sets) -> None:
    newest = max(time for _, _, time in RATINGS)
    found = sets(
        RATINGS,
        by="time",
        last_days=30,
        validation={"by": "time", "last_days": 20},
    )
    days = {(user, item): time for user, item, time in RATINGS}
    held = {pair for pair, time in days.items() if time >= newest - timedelta(days=30)}
    last = max(time for pair, time in days.items() if pair not in held)
    expected = {
        pair
        for pair, time in days.items()
        if pair not in held and time >= last - timedelta(days=20)
    }
    assert _pairs(found, "holdout") == held
    assert len(expected) > 5 and _pairs(found, "validation") == expected


def test_a_fifth_of_the_ratings_of_about_so_many_users_is_for_validation(sets: Sets) -> None:
    ratings = [(f"u{user}", f"i{item}", START) for user in range(300) for item in range(20)]
    found = _pairs(sets(ratings, validation={"by": "users", "users": 60}), "validation")
    users = {user for user, _ in found}
    assert len(users) == pytest.approx(60, abs=4 * (300 * 0.2 * 0.8) ** 0.5)
    assert len(found) == pytest.approx(len(users) * 4, rel=0.25)


def test_what_the_input_calls_test_is_held_out_and_validation_is_what_it_calls_that(
    sets: Sets,
) -> None:
    names = ["train", "validation", "test", None]
    ratings = [(f"u{n % 7}", f"i{n}", START, names[n % 4]) for n in range(60)]
    expected = {"train": "ratings", "validation": "validation", "test": "holdout", None: "ratings"}
    assert sets(ratings, by="column") == {
        (user, item): expected[name] for user, item, _, name in ratings
    }


def test_given_pairs_are_held_out_or_for_validation_as_their_files_say(sets: Sets) -> None:
    names = ["holdout", "validation", None]
    ratings = [(f"u{n % 7}", f"i{n}", START, names[n % 3]) for n in range(60)]
    given = {"path": "x.csv"}
    found = sets(ratings, by="given", pairs=given, validation={"by": "given", "pairs": given})
    assert found == {(user, item): name or "ratings" for user, item, _, name in ratings}


def _of_sets(flow: Flow, by_validation: bool, **split: object) -> dict[str, dict[Pair, bool]]:
    """By set, its pairs, each with whether it is cold."""
    rows = pa.Table.from_pylist(marked_rows(flow, RATINGS, 2, **split))
    found = {}
    for name in (*withholding.SETS, sets_.ASIDE):
        batches = sets_.of_set(iter(rows.to_batches()), name, by_validation)
        chosen = pa.Table.from_batches(list(batches)).to_pylist()
        found[name] = {(row["user_id"], row["item_id"]): row["cold"] for row in chosen}
    return found


def test_measured_by_validation_the_holdout_is_in_no_set(flow: Flow) -> None:
    split = {"by": "fraction", "fraction": 0.3, "cold_items": 0.1}
    split["validation"] = {"by": "fraction", "fraction": 0.3, "cold_items": 0.2}
    usual = _of_sets(flow, False, **split)
    found = _of_sets(flow, True, **split, measure_by="validation")
    assert found["ratings"].keys() == usual["ratings"].keys() and not usual["aside"]
    assert found["aside"].keys() == usual["holdout"].keys()
    assert found["holdout"].keys() == usual["validation"].keys()
    cold = {item for (_, item), is_cold in found["holdout"].items() if is_cold}
    assert cold and cold.isdisjoint(item for _, item in (*found["ratings"], *found["validation"]))
    assert found["validation"].keys() == {
        pair for pair, is_cold in found["holdout"].items() if not is_cold
    }


def test_an_earlier_window_leaves_out_what_is_later(flow: Flow) -> None:
    times = {(user, item): time for user, item, time in RATINGS}
    newest = max(times.values())
    found = _of_sets(flow, False, by="time", last_days=30, skip_days=60)
    for pair, time in times.items():
        days = (newest - time) / timedelta(days=1)
        expected = "aside" if days <= 60 else "holdout" if days <= 90 else "ratings"
        assert pair in found[expected], days
    assert sum(map(len, found.values())) == len(times)


def test_folds_of_users_hold_a_fifth_of_some_users_who_are_in_no_other_fold(mark: Mark) -> None:
    counts = Counter(user for user, _, _ in RATINGS)
    seen: Counter[str] = Counter()
    for fold in (1, 2, 3):
        held = Counter(
            user for user, _ in _held(mark(RATINGS, by="folds", of="users", folds=3, fold=fold))
        )
        assert all(
            count == min(floor(counts[user] / 5 + 0.5), counts[user] - 1)
            for user, count in held.items()
        )
        assert not held.keys() & seen.keys() and len(held) > 5
        seen += held
    assert seen.keys() == {user for user, count in counts.items() if count > 2}
