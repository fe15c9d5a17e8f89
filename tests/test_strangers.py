"""Roots that strangers made: whatever their JSON, names and texts are, the command ends in one line
and no byte of theirs steers the terminal."""

import contextlib
import copy
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from emberline.cli.metrics import named, show_metrics
from emberline.cli.release import show_release
from emberline.cli.show import show_manifest
from emberline.datasets import damage, released
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Pictures
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.datasets.measures import reports_of
from emberline.datasets.parts import write_file
from emberline.datasets.prune import prune
from emberline.errors import EmberlineError, ManifestError
from emberline.logs import one_line
from emberline.publish import releases
from emberline.runs.stage_run import new_run_id

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0.5, 2**70, float("nan"), "", "x", "12", "a\0b", "../..", "/etc/passwd",
    "\x1b[31m", "[/red]", "[link=x]",
    "\ud800", "\udcff", "é" * 3000, [], {}, [1], {"x": 1}, [[]], {"a\0": None}, [{"name": "user"}],
)  # fmt: skip
RUN_ID = "20250102T030405-00c0ffee"
FOLDER = f"{'0' * 16}-{RUN_ID}"


@pytest.fixture
def honest(root: Path) -> Path:
    """A root with an artifact, whose manifest has all that a manifest may have, and metrics."""
    report = {
        "protocol": {"name": "fraction", "hash": "aa"},
        "metrics": [{"model": "als", "metric": "auc", "value": 0.5, "users": 9}],
    }
    texts = {"metrics.json": json.dumps({"reports": {"holdout": report}})}
    parts = [
        write_file(text.encode(), root / "metrics" / FOLDER, name) for name, text in texts.items()
    ]
    inputs = {"recommendations": {"fingerprint": "0" * 64, "run_id": RUN_ID}}
    by = ProducedBy(
        "evaluate", "0" * 64, RUN_ID, {"k": [10], "to": {"a": 1}}, inputs, inputs, "c0de"
    )
    info = {
        "accounts": {"read": 3, "kept": 3},
        "reasons": {"x": 1},
        "classes": ["a"],
        "history": [{"loss": 1.0}],
        "height": 3,
    }
    fields = [{"name": "user", "type": "int32", "nullable": False}]
    manifests.commit(root, Manifest("metrics", "artifact", fields, 0, parts, by, 3, 4, info))
    return root


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, element in pairs:
        yield from _places(element, (*path, key))


def _hostile(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(HOSTILE))


def _mutated(content: Any, rng: random.Random) -> Any:
    """The same JSON with something else at one to three of its places, or without it, or with
    more.
    """
    content = copy.deepcopy(content)
    for _ in range(rng.randint(1, 3)):
        path = rng.choice([path for path in _places(content) if path] or [()])
        if not path:
            return _hostile(rng)
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        action = rng.choice(("set", "set", "set", "remove", "add"))
        if action == "set" or isinstance(parent, list):
            parent[path[-1]] = _hostile(rng)
        elif action == "remove":
            del parent[path[-1]]
        else:
            parent[str(_hostile(rng))] = _hostile(rng)
    return content


def _use(root: Path) -> str:
    """All that reads a manifest: what it shows."""
    shown = io.StringIO()
    console = Console(file=shown, width=130)
    dataset = manifests.load(root, "metrics")
    show_manifest(console, dataset.manifest, None)
    damage.verify(dataset)
    for report in reports_of(dataset).values():
        show_metrics(console, named(report), report.metrics)
    return shown.getvalue()


def _attempt(work: Callable[[], Any]) -> str:
    """What is shown, or what an error of ours says; any other error fails the test."""
    try:
        return str(work() or "")
    except EmberlineError as error:
        return one_line(error)


def _assert_harmless(shown: str) -> None:
    assert not [c for c in shown if c != "\n" and not c.isprintable()], repr(shown)


def _write_json(path: Path, content: Any) -> None:
    path.write_bytes(json.dumps(content).encode())


@pytest.mark.parametrize("seed", range(10))
def test_a_mutated_manifest_is_refused_in_a_message_or_read(honest: Path, seed: int) -> None:
    rng = random.Random(seed)
    path = honest / "metrics" / "manifest.json"
    content = json.loads(path.read_bytes())
    for _ in range(100):
        _write_json(path, _mutated(content, rng))
        _assert_harmless(_attempt(lambda: _use(honest)))
        _assert_harmless(_attempt(lambda: prune(honest, 1, 3600)))
        _assert_harmless(_attempt(lambda: releases.publish(honest, honest.parent / "served")))


def test_mutated_bytes_of_a_manifest_are_refused_in_a_message_or_read(honest: Path) -> None:
    rng = random.Random(1)
    path = honest / "metrics" / "manifest.json"
    content = path.read_bytes()
    for _ in range(500):
        changed = bytearray(content)
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        path.write_bytes(bytes(changed))
        _assert_harmless(_attempt(lambda: _use(honest)))


@pytest.mark.parametrize("seed", range(3))
def test_mutated_metrics_are_refused_in_a_message_or_read(honest: Path, seed: int) -> None:
    rng = random.Random(seed)
    dataset = manifests.load(honest, "metrics")
    content = json.loads(dataset.paths[0].read_bytes())
    for _ in range(100):
        _write_json(dataset.paths[0], _mutated(content, rng))
        with contextlib.suppress(EmberlineError):
            _attempt(
                lambda: json.dumps([report.to_json() for report in reports_of(dataset).values()])
            )


@pytest.mark.parametrize("seed", range(3))
def test_a_mutated_release_is_refused_in_a_message_or_read(root: Path, seed: int) -> None:
    rng = random.Random(seed)
    identity = {"fingerprint": "0" * 64, "run_id": RUN_ID}
    content = {
        "release": new_run_id(), "previous": None, "published": "now", "source": "x",
        "datasets": {"users": identity},
        "rows": {"users": 3}, "measures": {"m": {"value": 0.5, "protocol": "aa"}},
        "gates": [{"gate": "m > 0", "value": 0.5, "limit": None, "holds": True, "reason": ""}],
        "format": 1,
    }  # fmt: skip
    root.mkdir()
    _write_json(root / "current.json", content)
    assert released.current(root) is not None
    for _ in range(200):
        _write_json(root / "current.json", _mutated(content, rng))
        shown = io.StringIO()
        with contextlib.suppress(EmberlineError):
            release = released.current(root)
            assert release is not None
            show_release(Console(file=shown, width=130), release, is_new=True)
        _assert_harmless(shown.getvalue())


def _change(root: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = root / "metrics" / "manifest.json"
    content = json.loads(path.read_bytes())
    change(content)
    _write_json(path, content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["parts"][0].update(path="a\0b"), "does not name a place inside"),
        (lambda m: m["parts"][0].update(path="."), "does not name a place inside"),
        (lambda m: m["parts"][0].update(path="\ud800"), "does not name a place inside"),
        (
            lambda m: m["parts"][0].update(rows=-1),
            r"parts\[0\]\.rows: expected a whole number from 0, found -1",
        ),
        (lambda m: m.update(info=[]), "info: expected an object, found a list"),
        (lambda m: m.update(rows="12"), "rows: expected a whole number from 0, found '12'"),
        (lambda m: m.update(rows=True), "rows: expected a whole number from 0, found True"),
        (lambda m: m.update(rank=1.5), r"rank: expected a whole number from 0, found 1\.5"),
        (lambda m: m.update(kind="view"), "kind: expected table or artifact, found 'view'"),
        (lambda m: m.update(fields=[{"name": "user"}]), r"fields\[0\]\.type is missing"),
        (
            lambda m: m["info"].update(height="3"),
            r"info\.height: expected a whole number from 0, found '3'",
        ),
        (
            lambda m: m["info"].update(classes=["a", 2]),
            r"info\.classes\[1\]: expected a text, found 2",
        ),
        (lambda m: m["produced_by"]["inputs"].update(users={}), "users has no run_id"),
        (
            lambda m: m["produced_by"].update(run_id=None),
            r"produced_by\.run_id: expected a text, found None",
        ),
    ],
)
def test_a_refusal_names_the_file_and_the_field(
    honest: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    _change(honest, change)
    with pytest.raises(EmberlineError, match=message) as refused:
        manifests.load(honest, "metrics")
    assert str(honest / "metrics") in str(refused.value)


@pytest.mark.parametrize("depth", [40, 100_000])
def test_json_that_is_nested_without_end_is_refused(honest: Path, depth: int) -> None:
    path = honest / "metrics" / "manifest.json"
    path.write_text('{"format": 1, "info": ' + '{"a": ' * depth + "1" + "}" * depth + "}")
    with pytest.raises(
        ManifestError,
        match=r"manifest\.json is not a manifest \(expected at most 32 levels, found more\)",
    ):
        manifests.load(honest, "metrics")


def test_a_manifest_that_would_fill_the_memory_is_not_read(honest: Path) -> None:
    path = honest / "metrics" / "manifest.json"
    os.truncate(path, 300 << 20)
    with pytest.raises(
        ManifestError, match="expected at most 268,435,456 bytes, found 314,572,800"
    ):
        manifests.load(honest, "metrics")


def test_a_part_that_is_a_link_is_refused(honest: Path, tmp_path: Path) -> None:
    part = manifests.load(honest, "metrics").paths[0]
    outside = part.rename(tmp_path / "outside")
    part.symlink_to(outside)
    with pytest.raises(ManifestError, match=r"metrics\.json is a link, which may lead elsewhere"):
        manifests.load(honest, "metrics")


def test_a_run_folder_that_is_a_link_is_refused(honest: Path, tmp_path: Path) -> None:
    folder = manifests.load(honest, "metrics").paths[0].parent
    outside = folder.rename(tmp_path / "outside")
    folder.symlink_to(outside)
    with pytest.raises(ManifestError, match=f"{FOLDER} is a link"):
        manifests.load(honest, "metrics")


def test_a_part_that_is_a_pipe_is_missing_and_nobody_waits_for_it(honest: Path) -> None:
    part = manifests.load(honest, "metrics").paths[0]
    part.unlink()
    os.mkfifo(part)
    _change(honest, lambda m: m["parts"][0].update(bytes=0))
    with pytest.raises(ManifestError, match=r"metrics\.json is missing"):
        manifests.load(honest, "metrics")


def test_a_fact_that_a_manifest_lacks_is_named(honest: Path) -> None:
    with pytest.raises(ManifestError, match=r"metrics: info\.width is missing"):
        manifests.load(honest, "metrics").manifest.facts(Pictures)


def test_names_of_files_in_other_bytes_than_utf_8_survive_in_a_manifest(root: Path) -> None:
    by = ProducedBy("sow", "0" * 64, RUN_ID)
    manifests.commit(
        root, Manifest("seeds", "artifact", [], 0, [], by, info={"file": "caf\udce9.csv"})
    )
    assert manifests.load(root, "seeds").manifest.info["file"] == "caf\udce9.csv"
