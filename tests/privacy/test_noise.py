"""Counts about all people have noise, which is paid for from a budget."""

import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.privacy.conftest import NUM_USERS, PIPELINE, log_lines, rows_of, run_in, write_shop

from emberline import pipelines
from emberline.datasets import manifest as manifests
from emberline.datasets.kept_back import Budget, NoisyCounts
from emberline.errors import ConfigError
from emberline.privacy import forgetting
from emberline.publish import releases

ITEMS = "noisy_item_counts"
TABLES = (ITEMS, "noisy_segments", "noisy_segment_counts")
EPSILON, MOST = 60.0, 10
NOISE = f"""
[recommend.segments]
attribute = "genres"
min_support = 5

[privacy]
min_users = 3
[privacy.noise]
epsilon = {EPSILON}
budget = {2 * EPSILON}
max_items = {MOST}
segments = "genres"
split = {{ items = 0.4, segments = 0.6 }}
"""
TOML = PIPELINE[: PIPELINE.index("[explain]")] + "[report]\nusers = 0\n" + NOISE
ONLY = "prepare-ratings,prepare-items,noisy-counts"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    write_shop(folder)
    run_in(folder, TOML)
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def facts_of(folder: Path, name: str, root: str = "root") -> tuple[NoisyCounts, Budget]:
    manifest = manifests.load(folder / root, name).manifest
    return manifest.facts(NoisyCounts), manifest.facts(Budget)


def digests(folder: Path) -> dict[str, str]:
    paths = {name: manifests.load(folder / "root", name).paths for name in TABLES}
    return {
        name: hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest()
        for name, found in paths.items()
    }


def test_the_parts_of_a_draw_cost_what_is_given_for_it(made: Path) -> None:
    costs = [facts_of(made, name)[0] for name in TABLES]
    assert [cost.epsilon for cost in costs] == pytest.approx(
        [0.4 * EPSILON, 0.6 * 0.2 * EPSILON, 0.6 * 0.8 * EPSILON]
    )
    assert sum(cost.epsilon for cost in costs) <= EPSILON * (1 + 1e-12)
    assert 0 < sum(cost.delta for cost in costs) <= 1e-6
    assert [cost.per_user for cost in costs] == [MOST, 1, MOST]
    assert all(cost.scale >= cost.per_user / cost.epsilon for cost in costs)
    for name in TABLES:
        spent = facts_of(made, name)[1]
        assert spent.draws == 1 and spent.budget == 2 * EPSILON
        assert spent.spent_epsilon == pytest.approx(sum(cost.epsilon for cost in costs))


def test_counts_are_near_what_ten_items_of_each_come_to(made: Path) -> None:
    """Each has rated twelve. What is shown has reached the threshold."""
    shown = {row["item"]: row["users"] for row in rows_of(made, ITEMS).to_pylist()}
    cost = facts_of(made, ITEMS)[0]
    assert cost.threshold is not None and min(shown.values()) >= cost.threshold > 1
    rated = Counter(row["item"] for row in rows_of(made, "interactions").to_pylist())
    assert set(shown) <= set(rated) and len(shown) > 20
    near = MOST / 12 * sum(rated[item] for item in shown)
    assert sum(shown.values()) == pytest.approx(near, rel=0.1)
    people = {row["segment"]: row["users"] for row in rows_of(made, TABLES[1]).to_pylist()}
    assert set(people) == {f"films|taste-{taste}" for taste in range(3)}
    assert sum(people.values()) == pytest.approx(NUM_USERS, abs=8)
    items = {row["item"] for row in rows_of(made, TABLES[2]).to_pylist()}
    assert items <= set(rated) and items


def test_what_is_popular_is_so_by_noisy_counts_and_nothing_else(made: Path) -> None:
    shown = {row["item"]: row["users"] for row in rows_of(made, ITEMS).to_pylist()}
    popular = rows_of(made, "popular_items").to_pylist()
    assert {row["item"]: row["score"] for row in popular}.items() <= shown.items()
    assert [row["score"] for row in popular] == sorted(shown.values(), reverse=True)[:5]
    filled = rows_of(made, "recommendations").to_pylist()
    assert {row["item"] for row in filled if row["model"].startswith("popular")} <= set(shown)


def test_a_release_has_the_counts_and_says_what_they_cost(made: Path, tmp_path: Path) -> None:
    release, _ = releases.publish(made / "root", tmp_path / "served", with_defaults=False)
    assert set(TABLES) < set(release.datasets)
    place = tmp_path / "served" / "releases" / release.release
    assert manifests.load(place, ITEMS).manifest.facts(NoisyCounts) == facts_of(made, ITEMS)[0]


def test_the_report_says_what_noise_has_cost(made: Path) -> None:
    page = (made / "root" / "report" / "report.html").read_text()
    section = page[page.index('id="privacy"') : page.index('id="made"')]
    assert "Of the budget, epsilon 120, 60 is spent" in section
    cost = facts_of(made, ITEMS)[0]
    assert f"{ITEMS}</th><td>discrete Laplace</td>" in section
    assert f'<td class="number">{cost.threshold}</td><td class="number">{MOST}</td>' in section


def test_counts_stay_as_they_are_until_their_day_and_cost_nothing_meanwhile(copy: Path) -> None:
    """Also when somebody's rows have come: that they change would tell of it."""
    before, spent = digests(copy), facts_of(copy, ITEMS)[1]
    with (copy / "log.csv").open("a") as log:
        log.write("somebody-new@example.org,sku/00001,5,1500000000,\n")
    outcomes = run_in(copy, TOML, only=ONLY)
    assert [outcome.action for outcome in outcomes] == ["run"] * 3
    assert (digests(copy), facts_of(copy, ITEMS)[1]) == (before, spent)


def test_a_new_draw_is_paid_for_until_the_budget_is_spent(copy: Path) -> None:
    daily = "privacy.noise.every_days=0"
    first = digests(copy)
    run_in(copy, TOML, daily, only=ONLY)
    assert digests(copy)[ITEMS] != first[ITEMS]
    spent = facts_of(copy, ITEMS)[1]
    assert (spent.draws, spent.spent_epsilon) == (2, pytest.approx(2 * EPSILON))
    second = digests(copy)
    with (copy / "log.csv").open("a") as log:
        log.write("somebody-new@example.org,sku/00001,5,1500000000,\n")
    with pytest.raises(ConfigError, match=r"budget = 120 is spent: 2 draws have cost 120, the la"):
        run_in(copy, TOML, daily, only=ONLY)
    assert digests(copy) == second
    run_in(copy, TOML, daily, "privacy.noise.when_spent=keep", only=ONLY)
    assert digests(copy) == second
    run_in(copy, TOML, daily, "privacy.noise.budget=200.0", only=ONLY)
    spent = facts_of(copy, ITEMS)[1]
    assert (spent.draws, spent.budget) == (3, 200.0) and digests(copy) != second


def test_another_bound_is_another_draw(copy: Path) -> None:
    """What is published was made by other settings than those that are asked for."""
    run_in(copy, TOML, "privacy.noise.max_items=5", only=ONLY)
    assert facts_of(copy, ITEMS)[0].per_user == 5
    assert facts_of(copy, ITEMS)[1].draws == 2


def test_counts_do_not_stay_when_people_are_forgotten_who_were_counted(copy: Path) -> None:
    before = digests(copy)
    (copy / "gone.csv").write_text("user_id\nzoe-0007@example.org\n")
    config = pipelines.load(copy / "pipeline.toml", [f"root={copy / 'root'}"])
    forgetting.forget(config, copy / "root", str(copy / "gone.csv"))
    assert digests(copy)[ITEMS] != before[ITEMS] and facts_of(copy, ITEMS)[1].draws == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"epsilon": 0.0}, "greater than 0"),
        ({"budget": 1.0}, r"budget = 1 does not pay for one draw, which costs epsilon = 60"),
        ({"split": {"items": 0.5}}, r"shares of epsilon add up to 0.5; expected 1"),
        ({"split": {"items": 1.0}}, r"segments has no share of epsilon: set split.segments"),
        ({"segments": None}, r"split.segments needs segments"),
        (
            {"segments": "label"},
            r'\[recommend.segments\] are by "genres", .* set privacy.noise.seg',
        ),
        (
            {"split": {"items": 0.2, "classes": 0.2, "segments": 0.6}},
            r"split.classes needs items with classes: columns.label",
        ),
    ],
)
def test_a_part_that_is_not_paid_for_is_refused(
    made: Path, change: dict[str, Any], told: str
) -> None:
    config = pipelines.load(made / "pipeline.toml").model_dump(exclude_unset=True)
    config["privacy"]["noise"] = {
        name: value for name, value in (config["privacy"]["noise"] | change).items() if value
    } | {name: value for name, value in change.items() if value == 0.0}
    with pytest.raises(ValueError, match=told):
        pipelines.Config.model_validate(config)


@pytest.mark.parametrize("setting", ["ratings.min_item_ratings=2", "ratings.last_days=30.0"])
def test_what_lets_one_person_decide_on_rows_of_others_is_refused(made: Path, setting: str) -> None:
    name = setting.split("=")[0]
    with pytest.raises(ConfigError, match=rf"\[privacy.noise\] does not go with {name}"):
        pipelines.load(made / "pipeline.toml", [setting])
    assert log_lines()
