"""What people see, rendered into text and searched for what must and must not be in it."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest
from rich.console import Console
from rich.text import Text

from emberline.cli.console import make_console, printable
from emberline.cli.download import FetchProgress
from emberline.cli.metrics import show_metrics
from emberline.cli.outcomes import show_outcomes, written
from emberline.cli.plan import show_plan
from emberline.cli.progress import Progress
from emberline.cli.recommend import show_recommendations
from emberline.cli.show import show_manifest
from emberline.datasets.manifest import Manifest, Part, ProducedBy
from emberline.datasets.measures import Measured
from emberline.logs import one_line
from emberline.runs.plan import Decision
from emberline.runs.runner import Outcome
from emberline.sections.stage import Stage
from emberline.serving.lookup import Recommendation
from emberline.stages import STAGES

STAGE: dict[str, Stage] = {stage.name: stage for stage in STAGES}
MANIFEST = Manifest(
    name="items",
    kind="table",
    fields=[
        {"name": "item", "type": "int32", "nullable": False},
        {"name": "title", "type": "string", "nullable": True},
    ],
    rows=1234,
    parts=[Part("f-r/0", 1000, 1, 5000, "ab"), Part("f-r/1", 234, 1, 1500, "cd")],
    produced_by=ProducedBy(
        "prepare-ratings",
        "f1",
        "r1",
        {"keep": "sum"},
        {"shop": {"fingerprint": "f0", "run_id": "r0"}},
    ),
)


@pytest.fixture
def console() -> Console:
    return Console(record=True, width=130, highlight=False)


def _shown(console: Console) -> str:
    return console.export_text()


def _words(console: Console) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in _shown(console).splitlines()]


def _outcome(name: str, action: Literal["run", "skip"] = "run", **values: Any) -> Outcome:
    outcome = Outcome(STAGE[name], "run", "never run here", 1.5, {"ratings": 98_765}, {})
    return replace(outcome, action=action, **values)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("plain, é, 日本, 😀", "plain, é, 日本, 😀"),
        ("two\nlines\tand\r", r"two\nlines\tand\r"),
        ("\x1b[31mred\x07\x9b", r"\x1b[31mred\x07\x9b"),
        ("\u202egnp.exe\u200b", r"\u202egnp.exe\u200b"),
        ("\ud800", r"\ud800"),
        (12, "12"),
        (None, "None"),
    ],
)
def test_control_and_invisible_characters_are_escaped(value: Any, line: str) -> None:
    assert one_line(value) == line


def test_a_long_cell_is_cut_and_says_so() -> None:
    assert printable("x" * 60).plain == "x" * 60
    assert printable("x" * 61).plain == "x" * 57 + "..."
    assert printable("\n" * 40).plain == (r"\n" * 40)[:57] + "..."


def test_markup_in_data_is_text(console: Console) -> None:
    best = [
        Recommendation(
            1, "[red]i1[/red]", "[link=http://evil]click[/link] \x1b]8;;", 0.51234, "als"
        )
    ]
    show_recommendations(console, "user [bold]u1\n", best)
    shown = _shown(console)
    assert r"for user [bold]u1\n" in shown
    assert r"[red]i1[/red]" in shown
    assert r"[link=http://evil]click[/link] \x1b]8;;" in shown
    assert "0.5123" in shown


def test_no_escape_sequence_of_data_reaches_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_recommendations(
        make_console(), "user \x1b[2J", [Recommendation(1, "\x1b[31m", "\r\n", 1.0, "als")]
    )
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\r" not in out


def test_an_item_without_a_title_has_an_empty_cell(console: Console) -> None:
    show_recommendations(console, "user u1", [Recommendation(1, "i1", None, 1.0, "als")])
    assert "None" not in _shown(console)


def test_a_plan_as_json_is_json_whatever_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    long = "als.rank was 24, is 32; " * 20 + "[red]"
    decisions = [
        Decision(STAGE["train-als"], "run", long),
        Decision(STAGE["recommend"], "skip", "up to date", {"ratings": Path("base")}),
    ]
    show_plan(Console(width=20), decisions, "json", Path("root"))
    assert json.loads(capsys.readouterr().out) == [
        {"stage": "train-als", "action": "run", "reason": long, "inputs": {}},
        {
            "stage": "recommend",
            "action": "skip",
            "reason": "up to date",
            "inputs": {"ratings": "base"},
        },
    ]


def test_a_plan_as_a_table_shows_reasons_as_they_are(console: Console) -> None:
    decision = Decision(STAGE["train-als"], "run", "ratings.columns was [1], is [red]")
    show_plan(console, [decision], "text", Path("root"))
    assert "ratings.columns was [1], is [red]" in _shown(console)


def test_a_plan_as_a_table_says_what_is_read_from_a_base(console: Console) -> None:
    places = {"users": Path("base"), "ratings": Path("root"), "items": Path("base")}
    decisions = [
        Decision(STAGE["train-als"], "run", "never run here", {"ratings": Path("root")}),
        Decision(STAGE["recommend"], "run", "never run here", places),
    ]
    show_plan(console, decisions, "text", Path("root"))
    lines = [line.strip() for line in _shown(console).splitlines()]
    assert [line for line in lines if line.endswith("reads from the base")]
    assert [line.endswith("users, items") for line in lines if "never run here" in line] == [
        False,
        True,
    ]


def test_a_stage_that_ended_is_one_line_with_its_position_and_rows(console: Console) -> None:
    progress = Progress(console)
    progress.finished(_outcome("prepare-ratings"), 2, 6)
    progress.finished(_outcome("recommend", "skip", reason="up to date"), 3, 6)
    assert [line.rstrip() for line in _shown(console).splitlines()] == [
        "[2/6] prepare-ratings       1.5 s  ratings 98,765  (never run here)",
        "[3/6] recommend          skipped: up to date",
    ]


def test_nothing_to_do_is_said_in_a_sentence(console: Console) -> None:
    show_outcomes(console, [_outcome("train-als", "skip"), _outcome("recommend", "skip")])
    assert _shown(console).strip() == "Nothing to do: all 2 stages are up to date."


def test_what_a_stage_wrote_is_told_but_for_what_nobody_has_asked_for(console: Console) -> None:
    rows = {"ratings": 80, "validation": 0, "holdout": 0}
    shown = written(_outcome("split-ratings", rows=rows, unasked=("validation",)))
    assert shown == "ratings 80, holdout (no rows)"


def test_the_summary_adds_the_seconds(console: Console) -> None:
    show_outcomes(console, [_outcome("prepare-ratings"), _outcome("train-als", seconds=2.5)])
    assert ["all", "stages", "4.0"] in _words(console)


def test_input_rows_are_accounted_for(console: Console) -> None:
    accounts = {"read": 1500, "kept": 1000, "merged": 250, "rejected": 150, "filtered": 100}
    metrics = {
        "accounts": accounts,
        "reasons": {"not a [number]\n": 150},
        "joined": {"users": 4, "items": 0},
    }
    show_outcomes(console, [_outcome("prepare-ratings", metrics=metrics)])
    shown = _shown(console)
    assert "Input rows: 1,500 read = 1,000 kept + 250 merged + 150 rejected + 100 filtered" in shown
    assert "Spellings of users that were joined with another one of the same id: 4" in shown
    assert "Spellings of items" not in shown


def test_files_that_were_passed_over_are_named_in_one_line(console: Console) -> None:
    metrics = {"passed_over": {"in/": "2 hidden (.a.csv)", "logs/": "1 links to nowhere (b)"}}
    show_outcomes(console, [_outcome("prepare-ratings", metrics=metrics)])
    assert (
        "Files that were passed over in in/: 2 hidden (.a.csv); in logs/: 1 links to nowhere (b)"
        in _shown(console).splitlines()
    )


def test_reasons_are_shown_literally(console: Console) -> None:
    accounts = dict.fromkeys(("read", "kept", "merged", "rejected", "filtered"), 1)
    metrics = {"accounts": accounts, "reasons": {"not a [red]number\n": 150}}
    show_outcomes(console, [_outcome("prepare-ratings", metrics=metrics)])
    assert r"150  not a [red]number\n" in _shown(console)


def test_metrics_stand_in_one_table_per_unit_with_their_errors(console: Console) -> None:
    rows = [
        {
            "model": "als",
            "metric": "recall@10",
            "value": 0.25,
            "users": 1200,
            "standard_error": 0.0123,
        },
        {
            "model": "popular",
            "metric": "recall@10",
            "value": 0.125,
            "users": 1200,
            "standard_error": 0.0045,
        },
        {"model": "als", "metric": "coverage@10", "value": 0.5, "items": 300},
    ]
    metrics = {
        "reports": {
            "holdout": {"protocol": {"name": "fraction 0.2", "hash": "c0ffee"}, "metrics": rows}
        }
    }
    show_outcomes(console, [_outcome("evaluate", metrics=metrics)])
    lines = _words(console)
    assert [
        "Measured",
        "on:",
        "fraction",
        "0.2",
        "(protocol",
        "c0ffee);",
        "±",
        "is",
        "one",
        "standard",
        "error",
    ] in lines
    assert ["over", "1,200", "users", "recall@10"] in lines
    assert ["als", "0.2500", "±0.0123"] in lines
    assert ["popular", "0.1250", "±0.0045"] in lines
    assert ["over", "300", "items", "coverage@10"] in lines
    assert ["als", "0.5000"] in lines


def test_a_model_that_loses_to_a_trivial_answer_is_said_to_at_the_end(console: Console) -> None:
    values = {"als": (0.068, 0.002), "most-popular": (0.08, 0.003)}
    rows = [
        {
            "model": model,
            "metric": "ndcg@10",
            "value": value,
            "users": 9,
            "standard_error": error,
        }
        for model, (value, error) in values.items()
    ]
    metrics = {
        "reports": {
            "holdout": {"protocol": {"name": "fraction 0.2", "hash": "c0ffee"}, "metrics": rows}
        }
    }
    show_outcomes(console, [_outcome("evaluate", metrics=metrics)])
    said = (
        "als loses to most-popular: ndcg@10 0.0680 ±0.0020 against 0.0800; docs/lists.md says what"
        " helps"
    )
    assert _shown(console).rstrip().endswith(said)


def test_each_model_says_how_many_ratings_it_left_to_the_biases(console: Console) -> None:
    rows = [
        {"model": model, "metric": metric, "value": 0.5, "ratings": 20, "standard_error": None}
        | missing
        for model, missing in (
            ("als", {"answered_by_biases": 829}),
            ("item-neighbors", {"answered_by_biases": 3916}),
            ("biases", {}),
        )
        for metric in ("rmse", "mae")
    ]
    metrics = {
        "reports": {
            "holdout": {"protocol": {"name": "fraction 0.2", "hash": "c0ffee"}, "metrics": rows}
        }
    }
    show_outcomes(console, [_outcome("evaluate", metrics=metrics)])
    lines = _words(console)
    assert ["over", "20", "ratings", "rmse", "mae", "answered", "by", "biases"] in lines
    assert ["als", "0.5000", "0.5000", "829"] in lines
    assert ["item-neighbors", "0.5000", "0.5000", "3,916"] in lines
    assert ["biases", "0.5000", "0.5000"] in lines


def test_a_manifest_is_shown_with_what_it_comes_from(console: Console) -> None:
    show_manifest(console, MANIFEST, None)
    shown = _shown(console)
    for fact in (
        "items (table)",
        "item int32, title string?",
        "1,234 in 2 parts, 6,500 bytes",
        "prepare-ratings, run r1",
        '{"keep": "sum"}',
        "shop of run r0",
    ):
        assert fact in shown


def test_first_rows_show_numbers_short_and_text_literally(console: Console) -> None:
    rows = {
        "item": [7],
        "title": ["[b]\x07"],
        "none": [None],
        "score": [0.123456],
        "factors": [[0.5, 1.0, 2.0, 3.0, 4.0]],
    }
    rows |= {"genres": [["War", "[Noir]"]], "pixels": [bytes(3072)]}
    show_manifest(console, MANIFEST, pa.table(rows))
    numbers = ["[0.5000,", "1.0000,", "2.0000,", "3.0000,", "...]"]
    assert ["7", r"[b]\x07", "0.1235", *numbers, "[War,", "[Noir]]", "3,072", "bytes"] in _words(
        console
    )


def test_a_pipe_gets_tables_of_fixed_width_without_colours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = make_console()
    console.print(Text("x" * 131, "red"))
    assert capsys.readouterr().out == "x" * 130 + "\nx\n"


def test_a_download_is_a_line_at_its_end_where_there_is_no_terminal(console: Console) -> None:
    progress = FetchProgress(console)
    for name, total in (("a.zip", 1_000_000), ("b.zip", 2000)):
        for done in (0, total // 2, total):
            progress.progressed(name, done, total)
    progress.say("done [with] \x1b")
    first, second, last = _shown(console).splitlines()
    assert re.fullmatch(r"a\.zip: 1,000,000 of 1,000,000 bytes, \d+\.\d MB/s", first)
    assert second.startswith("b.zip: 2,000 of 2,000 bytes")
    assert last == r"done [with] \x1b"


def test_a_long_download_is_a_line_now_and_then(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FetchProgress, "_EVERY", 0.0)
    progress = FetchProgress(console)
    for done in (10, 20, 30):
        progress.progressed("a.zip", done, 100)
    assert [line.split(",")[0] for line in _shown(console).splitlines()] == [
        f"a.zip: {done} of 100 bytes" for done in (10, 20, 30)
    ]


def test_a_download_is_a_bar_on_a_terminal_and_then_a_line() -> None:
    screen = io.StringIO()
    progress = FetchProgress(Console(file=screen, force_terminal=True, width=130, highlight=False))
    progress.progressed("a.zip", 0, 5_000_000)
    progress.say("the connection was cut")
    progress.progressed("a.zip", 5_000_000, 5_000_000)
    progress.stop()
    assert "━━━━" in screen.getvalue()
    assert "the connection was cut\n" in screen.getvalue()
    assert re.search(r"a\.zip: 5,000,000 of 5,000,000 bytes, [\d.]+ MB/s\n$", screen.getvalue())


@pytest.mark.parametrize("width", [60, 80, 100, 130])
def test_metrics_are_not_broken_over_lines_however_narrow_the_terminal_is(width: int) -> None:
    names = ["precision@10", "recall@10/n", "recall@10/min(k,n)", "hit_rate@10", "ndcg@10"]
    models = ["als", "neighbors-histogram", "most-popular"]
    values = {
        (model, name): 0.1 + 0.1 * place + 0.01 * number
        for place, model in enumerate(models)
        for number, name in enumerate(names)
    }
    rows = [
        Measured(model, name, value, 0.0123, users=2990) for (model, name), value in values.items()
    ]
    narrow = Console(record=True, width=width, highlight=False)
    show_metrics(narrow, "a holdout", rows)
    lines = [line for line in _shown(narrow).splitlines()[2:] if line.strip()]
    assert max(map(len, lines)) <= width
    found, header = {}, []
    for cells in (re.split(r"\s{2,}", line.strip()) for line in lines):
        if cells[0] == "over 2,990 users":
            header = cells[1:]
        elif cells[0] in models:
            found |= {(cells[0], name): cell for name, cell in zip(header, cells[1:], strict=True)}
    assert found == {place: f"{value:.4f} ±0.0123" for place, value in values.items()}
