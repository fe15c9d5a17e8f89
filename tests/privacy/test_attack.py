"""What changes of published neighbours tell of people, with and without the gate."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests.privacy.conftest import (
    PIPELINE,
    log_lines,
    rows_of,
    run_in,
    user_id,
    write_shop,
)

from emberline.datasets import manifest as manifests
from emberline.datasets.kept_back import TooFewUsers
from emberline.publish import releases

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
STEADY = PIPELINE + "\n[privacy]\nmin_users = 1\nmin_changing_users = 4\n"
ONLY = "prepare-ratings,split-ratings,prepare-items,train-cosine,refit,steady-neighbors"


@pytest.fixture
def attack() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import attack

        yield attack
    sys.modules.pop("attack", None)


def shown(folder: Path, table: str = "steady_item_neighbors") -> dict[tuple[str, str], float]:
    items = rows_of(folder, "items")
    ids = dict(zip(items["item"].to_pylist(), items["item_id"].to_pylist(), strict=True))
    rows = rows_of(folder, table).to_pylist()
    return {(ids[row["item"]], ids[row["neighbor"]]): row["similarity"] for row in rows}


@pytest.mark.faults
def test_what_one_person_does_changes_nothing_that_is_published_and_what_four_do_does(
    tmp_path: Path,
) -> None:
    """Two rare films that so far nobody has both of."""
    write_shop(tmp_path)
    rare = [f"{user_id(user)},sku/9000{user % 2},5,1600000000," for user in range(8)]
    log = tmp_path / "log.csv"
    log.write_text("\n".join([*log_lines(), *rare]) + "\n")
    run_in(tmp_path, STEADY, only=ONLY)
    first = shown(tmp_path)
    assert first == shown(tmp_path, "refitted_item_neighbors")
    new = [f"{user_id(user)},sku/90001,5,1700000000," for user in (0, 2, 4, 6)]
    pair = ("sku/90000", "sku/90001")
    assert pair not in first
    log.write_text("\n".join([*log_lines(), *rare, new[0]]) + "\n")
    run_in(tmp_path, STEADY, only=ONLY)
    assert pair in shown(tmp_path, "refitted_item_neighbors")
    assert shown(tmp_path) == first
    told = manifests.load(tmp_path / "root", "steady_item_neighbors").manifest.facts(TooFewUsers)
    assert told.min_users == 4
    assert told.left_out == told.candidates > 0
    log.write_text("\n".join([*log_lines(), *rare, *new]) + "\n")
    run_in(tmp_path, STEADY, only=ONLY)
    assert pair in shown(tmp_path) and pair[::-1] in shown(tmp_path)
    untouched = {key for key in first if "90001" not in "".join(key) and "90000" not in key[0]}
    assert {key: shown(tmp_path)[key] for key in untouched} == {
        key: first[key] for key in untouched
    }
    release, _ = releases.publish(tmp_path / "root", tmp_path / "served", with_defaults=False)
    published = {name for name in release.datasets if "item_neighbors" in name}
    assert published == {"steady_item_neighbors"}


@pytest.mark.faults
def test_with_the_gate_the_attack_is_hardly_better_than_guessing_by_taste(
    attack: ModuleType,
) -> None:
    """Over three shops: what docs/privacy.md says of `benchmarks/attack.py`."""
    rows = [row for seed in (1, 2, 3) for row in attack.replay(seed, 10)]
    ratio, ndcg = {}, {}
    for table in (attack.FREE, attack.STEADY):
        own = [row for row in rows if row.table == table]
        ratio[table] = np.mean([row.precision for row in own]) / np.mean(
            [row.base_rate for row in own]
        )
        ndcg[table] = np.mean([row.ndcg for row in own])
    assert ratio[attack.FREE] > 2
    assert ratio[attack.STEADY] <= 1.5
    assert ndcg[attack.STEADY] >= 0.99 * ndcg[attack.FREE]
