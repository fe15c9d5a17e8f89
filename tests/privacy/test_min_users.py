"""What is published has enough people behind it, and what has not is counted."""

from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import pytest
from tests.privacy.conftest import PIPELINE, rows_of, run_in, user_id, write_shop
from tests.privacy.test_everywhere import PERSONAL

from emberline import pipelines, stages
from emberline.cli.console import make_console
from emberline.cli.outcomes import show_outcomes
from emberline.datasets import manifest as manifests
from emberline.datasets.kept_back import TooFewUsers
from emberline.errors import ConfigError
from emberline.export.table import export
from emberline.privacy.scan import scan
from emberline.publish import releases
from emberline.runs import runner

LEAST = 9
TOML = PIPELINE.replace("min_support = 1", 'min_support = 1\nsides = ["items", "users"]')
RARE = "sku/99999,5,1500010500,The rare film"  # the newest of those they liked best


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of a log in which three people have rated one film."""
    folder = tmp_path_factory.mktemp("least")
    write_shop(folder)
    with (folder / "log.csv").open("a") as log:
        log.writelines(f"zoe-{user:04d}@example.org,{RARE}\n" for user in range(3))
    run_in(folder, TOML.replace("users = 2", "users = 60") + f"\n[privacy]\nmin_users = {LEAST}\n")
    return folder


def raters(folder: Path, table: str) -> dict[int, set[int]]:
    found = defaultdict(set)
    for row in rows_of(folder, table).to_pylist():
        found[row["item"]].add(row["user"])
    return found


@pytest.mark.parametrize(
    ("table", "of"),
    [("item_neighbors", "ratings"), ("refitted_item_neighbors", "interactions")],
)
def test_behind_a_pair_of_items_there_are_enough_people(made: Path, table: str, of: str) -> None:
    by_item = raters(made, of)
    pairs = {(row["item"], row["neighbor"]) for row in rows_of(made, table).to_pylist()}
    common = {pair: len(by_item[pair[0]] & by_item[pair[1]]) for pair in combinations(by_item, 2)}
    assert pairs == {
        pair
        for (one, other), users in common.items()
        for pair in ((one, other), (other, one))
        if users >= LEAST
    }
    told = manifests.load(made / "root", table).manifest.facts(TooFewUsers)
    few = 2 * sum(0 < users < LEAST for users in common.values())
    assert (told.min_users, told.left_out) == (LEAST, few)
    assert told.candidates == few + len(pairs)


def test_popular_items_and_reasons_have_enough_people(made: Path) -> None:
    counts = Counter({item: len(users) for item, users in raters(made, "interactions").items()})
    popular = rows_of(made, "popular_items").to_pylist()
    assert [row["score"] for row in popular] == [count for _, count in counts.most_common(5)]
    filled = rows_of(made, "recommendations").to_pylist()
    assert min(counts[row["item"]] for row in filled if row["model"] == "popular") >= LEAST
    told = manifests.load(made / "root", "popular_items").manifest.facts(TooFewUsers)
    few = sum(count < LEAST for count in counts.values())
    assert (told.candidates, told.left_out) == (len(counts), few) and few > 0
    past = {row["past_item"] for row in rows_of(made, "reasons").to_pylist()} - {None}
    assert past and min(counts[item] for item in past) >= LEAST
    assert manifests.load(made / "root", "reasons").manifest.facts(TooFewUsers).left_out == few


def test_the_report_says_of_a_rare_film_only_that_it_is_one(made: Path) -> None:
    """All sixty people are on the page, three of whom have rated it."""
    page = (made / "root" / "report" / "report.html").read_text()
    assert "The rare film" not in page and "sku/99999" not in page
    assert page.count(f"an item of fewer than {LEAST} people") >= 3
    assert "Film &#34;3&#34;" in page


def test_what_was_left_out_stands_in_the_report_and_is_told_at_the_end_of_a_run(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (made / "root" / "report" / "report.html").read_text()
    section = page[page.index('id="privacy"') : page.index('id="made"')]
    config = pipelines.load(made / "pipeline.toml", [f"root={made / 'root'}"])
    show_outcomes(make_console(), runner.run(config, made / "root", stages.select(config)))
    said = " ".join(capsys.readouterr().out.split())
    for table, what in (("item_neighbors", "pairs of neighbours"), ("popular_items", "items")):
        told = manifests.load(made / "root", table).manifest.facts(TooFewUsers)
        assert told.left_out and f"{told.left_out}</td>" in section.replace(",", "")
        line = f"Kept back of {table}: {told.left_out:,} of {told.candidates:,} {what}"
        assert f"{line}, behind which there are fewer than {LEAST} people" in said
    hidden = page.count(f">an item of fewer than {LEAST} people<")
    row = section[section.index("this page") :]
    assert f'<td class="number">{hidden}</td>' in row


def test_pairs_of_people_are_not_published(made: Path) -> None:
    release, _ = releases.publish(made / "root", made / "served", with_defaults=False)
    assert "refitted_item_neighbors" in release.datasets
    assert not {"user_neighbors", "refitted_user_neighbors"} & set(release.datasets)
    with pytest.raises(ConfigError, match=f"min_users asks for {LEAST}; leave it out"):
        releases.publish(made / "root", made / "served", ["user_neighbors"])


@pytest.mark.parametrize("style", ["csv", "jsonl", "parquet"])
def test_an_export_of_people_is_found_by_who_looks_for_them(
    made: Path, tmp_path: Path, style: str
) -> None:
    """Of every table of people that there is, and where forgetting looks for them."""
    tables = [name for name in manifests.names(made / "root") if name in PERSONAL]
    tables = [name for name in tables if manifests.load(made / "root", name).rows]
    assert {"user_measures", "reasons", "recommendations", "user_neighbors"} <= {*tables}
    for name in tables:
        export(made / "root", name, str(tmp_path / f"{name}.{style}"))
    found = scan(tmp_path, {user_id(user) for user in range(60)}).found
    assert set(found) == {f"{name}.{style}" for name in tables}
