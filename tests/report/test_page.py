"""The page as a browser would read it: what is said, what is not, and that nothing in the data
can change its shape.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.datasets.prune import prune
from emberline.datasets.sketch import Sketch
from emberline.models import MODELS
from emberline.report.lists import badge_of
from emberline.runs import status
from emberline.runs.status import Status

Report = Callable[..., Any]
Write = Callable[..., None]
LIB = Path(__file__).parents[2] / "lib"
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"


def headings(page: Any) -> list[tuple[str, str]]:
    return [
        (e.tag, " ".join(e.text.split())) for e in page.elements if re.fullmatch("h[1-6]", e.tag)
    ]


# --------------------------------------------------------------------------------------------------
# text


def test_a_title_is_shown_as_it_is_and_never_becomes_markup(whole: Any) -> None:
    assert 'A "fine" <new> <script>alert(1)</script> & co, Größe 5' in whole.texts("bdi")
    assert not whole.find("script") and not whole.find("new")


def test_the_reports_own_title_and_a_users_id_are_escaped(whole: Any) -> None:
    assert whole.texts("h1") == whole.texts("title")[:1] == ["Tom & Jerry's <shop>"]
    assert whole.texts("h3")[-2:] == ["User ann", "User b<o>b"]
    assert not whole.find("shop") and not whole.find("o")


def test_a_classs_name_is_escaped(classified: Any) -> None:
    assert "<cat>" in classified.texts("th", scope="col") and not classified.find("cat")


def test_characters_that_reorder_or_ring_are_written_out(whole: Any) -> None:
    assert "abc[U+202E]fed[U+2069] [U+0007]end" in whole.texts("bdi")
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u0007]", whole.html)


def test_an_attribute_cannot_be_left_by_a_quote(whole: Any) -> None:
    assert 'Picture of A "fine" <new> <script>alert(1)</script> & co, Größe 5' in whole.pictures()


# --------------------------------------------------------------------------------------------------
# nothing outside


@pytest.mark.parametrize("page", ["whole", "classified"])
def test_the_page_refers_to_nothing_outside_it(page: str, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(page)
    every = [
        v
        for e in found.elements
        for n, v in e.attributes.items()
        if n in ("href", "src", "xlink:href", "srcset", "action")
    ]
    assert every and all(value.startswith(("#", "data:image/png;base64,")) for value in every)
    assert "://" not in found.html and "@import" not in found.html
    assert all(
        target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)]*)", found.html)
    )
    assert {"link", "script", "iframe", "object", "form", "base"}.isdisjoint(
        e.tag for e in found.elements
    )
    assert [
        e.attributes["content"]
        for e in found.find("meta", **{"http-equiv": "Content-Security-Policy"})
    ] == [CSP]


def test_every_link_in_a_chart_has_its_target(whole: Any) -> None:
    ids = {e.attributes["id"] for e in whole.elements if "id" in e.attributes}
    targets = set(re.findall(r"url\(#([^)]*)\)", whole.html))
    targets |= {
        e.attributes["xlink:href"][1:] for e in whole.elements if "xlink:href" in e.attributes
    }
    assert targets and targets <= ids


# --------------------------------------------------------------------------------------------------
# the same bytes


def test_the_same_inputs_give_the_same_bytes(
    report: Report, tmp_path: Path, write_ratings: Write, write_pictures: Write
) -> None:
    pages = []
    for place in ("one", "other"):
        root = tmp_path / place / "shop-root"
        write_ratings(root)
        write_pictures(root)
        pages.append(report("pictures", root).html)
    assert pages[0] == pages[1]


# --------------------------------------------------------------------------------------------------
# what is said


def test_the_accounts_are_there_with_every_reason(whole: Any) -> None:
    rows = whole.texts("tr")
    assert "merged into another row 34,560 2.8%" in rows  # 34,560 / 1,234,567
    assert "rejected 1,200,000 97.2%" in rows
    assert "for training 5 <0.1%" in rows and "held out for measuring 2 <0.1%" in rows
    assert "filtered: too few ratings 0 0.0%" in rows
    assert "rejected: value is not a number 1,200,000" in rows
    assert "kept 4 66.7%" in rows and "not a picture 2" in rows  # of six pictures


def test_bars_are_as_long_as_their_shares(whole: Any) -> None:
    bars = [span.attributes["style"] for span in whole.find("span", class_="bar")]
    # of the largest reason: 34,560 / 1,200,000; alone
    assert bars == ["width:100.0%", "width:2.88%", "width:100.0%"]
    rails = [piece.attributes["style"] for piece in whole.find("i")]
    assert rails == ["flex:5", "flex:2", "flex:34560", "flex:1200000", "flex:4", "flex:2"]


def test_metrics_stand_beside_their_baselines_with_the_protocol(whole: Any) -> None:
    rows = whole.texts("tr")
    assert "Metric als random Over" in rows
    assert "ndcg@3 0.250 ± 0.013 0.125 ± 0.002 2,500 users" in rows
    assert "coverage@3 0.750 1.000 4 items" in rows
    assert (
        "50% of each user's ratings, chosen by hash; all ratings of 20% of the items (seed 7)"
        in whole.texts("dd")
    )
    assert whole.texts("span", class_="hash") == ["0123456789ab"]
    assert whole.texts("td", class_="best") == ["0.250 ± 0.013"]  # of the recalls no error is known


def test_the_head_compares_the_model_with_its_best_baseline(whole: Any) -> None:
    assert "0.250 ndcg@3 of als: better than the best baseline, random, with 0.125" in whole.texts(
        "dd"
    )
    assert tiles(whole) == ["tile better"]


def tiles(page: Any) -> list[str]:
    """Those of gains."""
    found = [element.attributes["class"] for element in page.find("div", class_="tile")]
    return [classes for classes in found if classes.strip() != "tile"]


def test_the_head_answers_what_is_asked_first(whole: Any) -> None:
    questions = ["Better than before?", "Better than the baselines?", "Can I trust that?"]
    assert [text for text in whole.texts("dt") if text.endswith("?")] == questions
    told = whole.texts("dd")[:3]
    assert told[0] == "There is no earlier evaluation here to compare with."
    assert told[1:] == ["Yes.", "Of some figures no interval is known: evaluate again."]


def test_every_chart_says_in_words_what_it_shows(whole: Any) -> None:
    labels = [svg.attributes["aria-label"] for svg in whole.find("svg")]
    assert "Held-out ratings: ndcg@3; als 0.250, random 0.125" in labels
    assert all(labels) and len(whole.find("title")) == 1 + len(labels)


def test_runs_and_fingerprints_are_those_of_the_manifests(whole: Any) -> None:
    assert "recommendations 3 rows recommend 20250102T030405-00000000 abcdef012345" in whole.texts(
        "tr"
    )
    assert "train-als 2 Jan 2025, 03:04 UTC – – all defaults" in whole.texts("tr")


def test_no_id_of_a_run_stands_before_the_content(whole: Any) -> None:
    assert "20250102T030405-00000000" not in whole.html[: whole.html.index("<main")]


def test_a_stages_time_is_that_of_the_run_that_is_shown(
    report: Report, root: Path, write_ratings: Write
) -> None:
    write_ratings(root)
    for stage, run_id in (
        ("train-als", "20250102T030405-00000000"),
        ("recommend", "20240101T000000-00000000"),
    ):
        status.write(
            root, Status(stage, "running", run_id, "0" * 64).succeeded(61.2, {}, {}, 3 << 29)
        )
    page = report("ratings", root)
    assert "train-als 2 Jan 2025, 03:04 UTC 1 min 1 s 1.5 GiB all defaults" in page.texts("tr")
    assert "recommend 2 Jan 2025, 03:04 UTC – – all defaults" in page.texts("tr")
    assert (
        "6 stages, 1 min 1 s in all, with at most 1.5 GiB of memory;"
        " the last began 2 Jan 2025, 03:04 UTC." in page.texts("p", class_="lead")[0]
    )


def test_a_setting_that_is_no_default_is_there_and_escaped(
    report: Report, root: Path, write_ratings: Write
) -> None:
    write_ratings(root)
    path = root / "interactions" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["produced_by"]["config"] = {
        "columns": {"user_id": "<u>"},
        "value": "rating",
        "min_user_ratings": 3,
    }
    path.write_text(json.dumps(manifest))
    page = report("ratings", root)
    assert "columns.user_id = <u>" in page.texts("code") and not page.find("u")
    assert "min_user_ratings = 3 (default 1)" in page.texts(
        "span"
    ) and "value = rating" not in page.texts("code")


# -------------------------------------------------------------------------------------------------
# the last evaluation


def _measure(
    root: Path,
    run_id: str,
    value: float,
    protocol: str = "0123456789ab",
    data: Sketch | None = None,
) -> None:
    """Make the metrics of the root those of another evaluation."""
    path = root / "metrics" / "manifest.json"
    manifest = json.loads(path.read_text())
    part = root / "metrics" / manifest["parts"][0]["path"]
    content = json.loads(part.read_text())
    content["reports"]["holdout"]["metrics"][0]["value"] = value
    content["reports"]["holdout"]["protocol"]["hash"] = protocol
    if data:
        content["reports"]["holdout"]["data"] = asdict(data)
    part.write_text(json.dumps(content))
    manifest["produced_by"]["run_id"] = run_id
    manifest["parts"][0]["bytes"] = part.stat().st_size
    path.write_text(json.dumps(manifest))
    for table in ("user_measures", "item_measures"):
        path = root / table / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["produced_by"]["run_id"] = run_id
        path.write_text(json.dumps(manifest))


def _measure_users(root: Path, run_id: str, values: np.ndarray, publish: Write) -> None:
    """As `_measure`, with what each user was measured."""
    row = {"report": "holdout", "model": "als", "metric": "ndcg@3", "weight": 1.0}
    rows = [row | {"user": user, "value": value} for user, value in enumerate(values.tolist())]
    publish(root, "evaluate", "user_measures", rows)
    # in a folder of its own: what is published by hand lies where the last lay
    folder, name = root / "user_measures", f"{'0' * 16}-{run_id}"
    (folder / f"{'0' * 16}-20250101T000000-00000000").rename(folder / name)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["parts"][0]["path"] = f"{name}/{Path(manifest['parts'][0]['path']).name}"
    path.write_text(json.dumps(manifest))
    _measure(root, run_id, float(values.mean()))


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_a_gain_that_figures_alone_do_not_show_is_seen_on_the_same_users(
    is_at_hand: bool, report: Report, root: Path, write_ratings: Write, publish: Write
) -> None:
    """Each of 400 users has .004 more, with a little noise: a tenth of how users differ."""
    rng = np.random.default_rng(1)
    before = rng.uniform(0.1, 0.4, 400)
    write_ratings(root)
    _measure_users(root, "20250202T030405-00000000", before, publish)
    report("ratings", root)
    now = before + 0.004 + rng.normal(0, 0.01, 400)
    _measure_users(root, "20250302T030405-00000000", now, publish)
    if not is_at_hand:
        shutil.rmtree(root / "user_measures" / f"{'0' * 16}-20250202T030405-00000000")
    page = report("ratings", root)
    lines = [text for text in page.texts("tr") if text.startswith("ndcg@3 als")]
    half = 1.96 * (now - before).std() / 20
    if not is_at_hand:
        assert lines[-1].endswith(" within the error the figures alone")
        return
    number = r"\+0\.00(\d)"
    pattern = rf".* {number} {number} to {number} p < 0\.005 better the same 400 users"
    told = re.fullmatch(pattern, lines[-1])
    assert told, lines[-1]
    middle, low, high = (int(digit) / 1000 for digit in told.groups())
    mean = (now - before).mean()
    expected = (mean, mean - half, mean + half)
    np.testing.assert_allclose((middle, low, high), expected, atol=0.001)
    assert any(
        text.startswith("Held-out ratings: better, ndcg@3 +0.00") for text in page.texts("dd")
    )


def test_the_last_evaluation_stands_beside_this_one(
    report: Report, root: Path, write_ratings: Write
) -> None:
    write_ratings(root)
    assert "The last evaluation" not in report("ratings", root).texts("h4")
    _measure(root, "20250202T030405-00000000", 0.35)  # of 0.25, both with an error of 0.0125
    page = report("ratings", root)
    assert "Beside the evaluation of 2 Jan 2025, 03:04 UTC, under the same protocol." in page.texts(
        "p"
    )
    assert "ndcg@3 als 0.250 0.350 +0.100 better the figures alone" in page.texts("tr")
    assert "recall@3/n als 0.500 0.500 ±0.000 within the error the figures alone" in page.texts(
        "tr"
    )
    # the same evaluation again is not compared with itself
    assert page.html == report("ratings", root).html
    _measure(root, "20250302T030405-00000000", 0.34)
    told = "ndcg@3 als 0.350 0.340 −0.010 within the error the figures alone"
    assert told in report("ratings", root).texts("tr")


def test_another_protocol_is_not_compared_and_the_page_says_why(
    report: Report, root: Path, write_ratings: Write
) -> None:
    write_ratings(root)
    report("ratings", root)
    _measure(root, "20250202T030405-00000000", 0.35, protocol="ffffffffffff")
    said = "which was measured under another protocol (0123456789ab, now ffffffffffff)."
    assert any(said in text for text in report("ratings", root).texts("p"))


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        (128, "under the same protocol and on the same data."),
        # Jaccard .75: 2 * .75 / 1.75
        (96, "under the same protocol, on data that have 86% in common."),
        (16, "the data have 22% in common."),  # 2 * .125 / 1.125
    ],
)
def test_other_data_are_not_compared(
    shared: int, said: str, report: Report, root: Path, write_ratings: Write
) -> None:
    write_ratings(root)
    for month, differing in ((2, 0), (3, 128 - shared)):
        marks = {place: place + 1000 * (place < differing) for place in range(128)}
        _measure(
            root,
            f"20250{month}02T030405-00000000",
            0.35,
            data=Sketch.of(1000, differing << 32, marks),
        )
        page = report("ratings", root)
    assert [text for text in page.texts("p") if text.endswith(said)], [
        t for t in page.texts("p") if "valuation" in t
    ]
    told = "ndcg@3 als 0.350 0.350 ±0.000 within the error the figures alone"
    assert (told in page.texts("tr")) == (shared > 64)


def test_a_damaged_last_report_does_not_stop_this_one(
    report: Report, root: Path, write_ratings: Write
) -> None:
    write_ratings(root)
    report("ratings", root)
    (root / "report" / "manifest.json").write_text("{")
    assert "The last evaluation" not in report("ratings", root).texts("h4")


def test_a_model_that_loses_is_told_to(report: Report, root: Path, write_ratings: Write) -> None:
    write_ratings(root)
    _measure(root, "20250202T030405-00000000", 0.05)
    page = report("ratings", root)
    said = (
        "0.050 ndcg@3 of als: worse than the best baseline, random, with 0.125: that one serves"
        " better"
    )
    assert said in page.texts("dd") and tiles(page) == ["tile worse"]


def test_the_page_has_a_place_that_stays(report: Report, root: Path, write_ratings: Write) -> None:
    write_ratings(root)
    first = report("ratings", root)
    assert (root / "report" / "report.html").read_text(encoding="utf-8") == first.html
    again = report("ratings", root, "report.title=Another")
    assert (root / "report" / "report.html").read_text(encoding="utf-8") == again.html != first.html
    prune(root, keep=1, older_than=-1)
    assert (root / "report" / "report.html").read_text(encoding="utf-8") == again.html
    damage.verify(manifests.load(root, "report"))


def test_generated_data_is_called_so_and_without_users_there_are_no_people(
    report: Report, root: Path, write_ratings: Write
) -> None:
    write_ratings(root, inputs={"shop": {"fingerprint": "f", "run_id": "r"}})
    page = report("ratings", root, "report.users=0")
    assert page.texts("p", class_="generated") == [
        "The data is generated: no real person, no real item."
    ]
    assert "#people" not in [a.attributes["href"] for a in page.find("a")] and not page.find(
        "article"
    )


def test_other_data_is_not_called_generated(whole: Any) -> None:
    assert not whole.find("p", class_="generated")


def test_the_confusion_matrix_counts_by_true_class(classified: Any) -> None:
    assert "dog 2 2" in classified.texts("tr") and "<cat> 6 0" in classified.texts("tr")
    assert "dog <cat> 2 50.0%" in classified.texts("tr")  # the most frequent mistake
    assert "dog 1.000 0.500 0.667 4" in classified.texts("tr")
    tints = [
        td.attributes["style"]
        for td in classified.find("td")
        if "--tint" in td.attributes.get("style", "")
    ]
    # roots of 1, 0, 1/2 and 1/2
    assert tints == ["--tint:1.0", "--tint:0.0", "--tint:0.707", "--tint:0.707"]


def test_training_names_the_best_epoch(classified: Any) -> None:
    assert (
        "2 epochs; the best is epoch 2, with a validation loss of 1.250 and an accuracy of 0.750;"
        " 61 s of training." in (classified.texts("p"))
    )
    labels = [svg.attributes["aria-label"].partition(": ")[2] for svg in classified.find("svg")]
    assert labels[:3] == ["loss", "accuracy", "learning rate"]


def test_small_forms_of_the_network_stand_beside_it(classified: Any) -> None:
    lines = classified.texts("tr")
    assert "Form Accuracy Loss Bytes Pictures a second" in [line.strip() for line in lines]
    assert "keras 0.9000 +0.0000 5,000 800" in [line.strip() for line in lines]
    assert "float32 0.9000 +0.0000 4,000 1,000 ok" in lines
    assert "int8 0.8875 +0.0125 1,100 (28%) 2,540 (2.5x) loses too much" in lines
    assert any("the same 1,234 pictures" in text for text in classified.texts("p"))


# --------------------------------------------------------------------------------------------------
# people


def test_pictures_have_the_datasets_pixels(whole: Any) -> None:
    pictures = whole.pictures()
    assert pictures["Picture of Plain"] == ((3, 2), bytes(40 + place for place in range(18)))
    assert pictures["Picture of From the attributes"] == (
        (3, 2),
        bytes(120 + place for place in range(18)),
    )


def test_a_badge_is_a_word_or_two_that_stay_on_one_line() -> None:
    """Beside a picture of a list there is room for so many characters."""
    rules = re.findall(r"^\.badge \{(.*?)\}", (LIB / "emberline/report/page.css").read_text(), re.M)
    assert ["white-space: nowrap" in rule for rule in rules] == [True]
    listed = [model for model in MODELS.values() if model.lists or model.new_items]
    badges = {badge_of(model.name) for model in listed if model.role == "model"} | {"popular"}
    assert max(map(len, badges)) <= len("similar users")


def test_a_list_shows_rank_score_badge_and_hits(whole: Any) -> None:
    lines = [text for text in whole.texts("li") if "score" in text]
    assert lines == [
        "1 From the attributes score 1.000 factors a hit",
        "no picture 2 New thing score 0.500 new",
        '1 A "fine" <new> <script>alert(1)</script> & co, Größe 5 score 1.000 factors',
    ]


def test_reasons_are_told_in_words_and_no_title_or_word_in_them_becomes_markup(
    report: Report, root: Path, write_ratings: Write, publish: Write
) -> None:
    write_ratings(root)
    nothing = {"attribute": None, "word": None, "contribution": 0.5, "drop": 0.25}
    event = {"user": 0, "item": 3, "kind": "event", **nothing}
    said = {"user": 0, "item": 4, "place": 1, "kind": "attribute", "past_item": None, **nothing}
    reasons = [
        event | {"place": 2, "past_item": 0},
        event | {"place": 1, "past_item": 1},
        said | {"attribute": "tags", "word": "<script>alert(2)</script>"},
    ]
    publish(root, "explain", "reasons", reasons)
    page = report("ratings", root, "explain.top=3")
    assert "Why" in page.texts("h4") and not page.find("script") and not page.find("new")
    told = [text for text in page.texts("li") if "because" in text or "for its" in text]
    assert told == [
        'i-3 because of Plain and A "fine" <new> <script>alert(1)</script> & co, Größe 5',
        "New thing for its tags (<script>alert(2)</script>)",
    ]


def test_beside_a_reason_is_which_pixels_speak_for_it(
    report: Report,
    root: Path,
    write_ratings: Write,
    write_pictures: Write,
    write_files: Write,
    publish: Write,
) -> None:
    """Of a line that is not among the first, too."""
    write_ratings(root)
    write_pictures(root, (0, 1, 2, 3, 4))
    lists = [{"user": 0, "rank": rank, "item": 5 - rank, "score": 1.0} for rank in range(1, 6)]
    publish(root, "recommend", "recommendations", [row | {"model": "cnn"} for row in lists])
    publish(root, "explain", "reasons", [])
    publish(root, "predict-items", "predicted_factors", [])
    write_files(root, "train-cnn", "cnn", {"history.json": {}})
    heat = {"pixels": bytes([100] * 18), "heat": [0.5, 0.0, 0.0, 0.0, 0.0, -0.5]}
    looked_at = {"user": 0, "item": 1, "score": 1.0, "plain_score": 0.0} | heat
    size = {"height": 2, "width": 3, "channels": 3}
    publish(root, "explain-pictures", "picture_reasons", [looked_at], **size)
    settings = ("explain.top=3", "shards.task=factors", "cnn.model=cifar", "predict.batch_size=1")
    page = report("pictures", root, *settings)
    size, pixels = page.pictures()["Which pixels speak for Plain"]
    drawn = np.frombuffer(pixels, np.uint8).reshape(6, 3)
    assert size == (3, 2) and drawn[1:5].tolist() == [[100] * 3] * 4
    assert drawn[0, 0] > 150 > drawn[0, 2] and drawn[5, 2] > 150 > drawn[5, 0]  # red, blue
    assert len([alt for alt in page.pictures() if alt.startswith("Which pixels")]) == 1
    why = [text.split(" by all")[0] for text in page.texts("li") if "by all" in text]
    assert why == [
        "New thing",
        "From the attributes",
        "abc[U+202E]fed[U+2069] [U+0007]end",
        "Plain",
    ]


def test_test_pictures_are_shown_with_what_they_were_taken_for(classified: Any) -> None:
    assert classified.texts("span", class_="name") == [
        "<cat>",
        "<cat>, taken for dog",
    ]
    assert [span.text for span in classified.find("span", class_="wrong")] == [
        "<cat>, taken for dog"
    ]
    size, pixels = classified.pictures()["A picture of <cat>, taken for dog"]
    assert (size, pixels) == ((3, 2), bytes(40 + place for place in range(18)))


def test_explicit_histories_begin_with_the_best_and_latest(whole: Any) -> None:
    history = [text for text in whole.texts("li") if "★" in text]
    assert history == [
        "abc[U+202E]fed[U+2069] [U+0007]end ★ 5 2024-05-03",
        "Plain ★ 5 2024-05-02",
        'A "fine" <new> <script>alert(1)</script> & co, Größe 5 ★ 3 2024-05-01',
        "Plain ★ 4",
        "abc[U+202E]fed[U+2069] [U+0007]end ★ 1",
    ]


# --------------------------------------------------------------------------------------------------
# what is not there


def test_a_pipeline_without_pictures_shows_names_alone(
    report: Report, root: Path, write_ratings: Write
) -> None:
    write_ratings(root)
    page = report("ratings", root)
    assert not page.find("img") and not page.find("span", class_="empty")
    assert (
        next(text for text in page.texts("li") if "score" in text)
        == "1 i-3 score 1.000 factors a hit"
    )
    assert "i-3" in page.texts("bdi")  # no title anywhere
    assert "Pictures" not in page.texts("h3") and "Item attributes" not in page.texts("h3")


def test_a_pipeline_without_ratings_has_neither_people_nor_ratings(classified: Any) -> None:
    assert [a.attributes["href"] for a in classified.find("a")] == [
        "#data", "#training", "#metrics", "#classes", "#made", "#lineage"
    ]  # fmt: skip
    assert not {"Ratings", "Users"} & {text for _, text in headings(classified)}


@pytest.mark.parametrize("page", ["whole", "classified"])
def test_no_heading_is_empty_or_out_of_order_and_the_contents_are_the_sections(
    page: str, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(page)
    levels = [int(tag[1]) for tag, _ in headings(found)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(text for _, text in headings(found))
    sections = found.find("section")
    assert [f"#{section.attributes['id']}" for section in sections] == [
        a.attributes["href"] for a in found.find("a")
    ]
    assert all(len(section.text.split()) > 8 for section in sections)


def test_table_headers_have_a_scope(whole: Any) -> None:
    assert {th.attributes.get("scope") for th in whole.find("th")} == {"row", "col"}


# --------------------------------------------------------------------------------------------------
# zip


def test_the_page_is_rendered_from_a_zip(tmp_path: Path) -> None:
    archive = tmp_path / "emberline.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(LIB.rglob("*")):
            if path.suffix in (".py", ".j2", ".css"):
                file.write(path, path.relative_to(LIB))
    program = (
        "from emberline.report.page import Page, __file__, render\npage ="
        " render(Page('Zipped', 'r', False, '', '', '', [], [], [], [], [], None, [], None, [], [],"
        " {}, {}, {}, None, None, [], None, False, [], []))\n"
        "print(__file__, '<h1>Zipped</h1>' in page, '--accent' in page)"
    )
    environment = {**os.environ, "PYTHONPATH": str(archive)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == [
        f"{archive}/emberline/report/page.py",
        "True",
        "True",
    ], done.stderr
