"""Spoken digits: how often the network, and the forest on its embeddings, hear the right digit.

- official is the publisher's test set, the takes 00 to 04 of every digit and speaker: training has
  heard each speaker.
- without a speaker is the honest one: all of a speaker's recordings are tested on, and no other is.

Of each case a run of jobs/pipelines/spoken-digits.toml with its own seed, or its own speaker; the
recordings are prepared once. seconds are of all stages but the preparation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import harness
from data import REAL_DATA
from harness import Figures, Report, Subject

import emberline
from emberline.datasets import manifest as manifests

PIPELINE = Path(__file__).parents[1] / "jobs" / "pipelines" / "spoken-digits.toml"
RECORDINGS = str(REAL_DATA / "spoken-digits" / "*.wav")
SPEAKERS = [f"speaker{number}" for number in range(1, 7)]
STAGES = "export-shards,train-cnn,predict-items,train-forest,evaluate"


def run(root: Path, base: Path, settings: dict[str, Any]) -> Path:
    """The root, where all stages but the preparation have run over a base."""
    given = {"sounds.path": RECORDINGS, **settings}
    emberline.run(PIPELINE, root=root, base=base, settings=given, only=STAGES)
    return root


def accuracies(root: Path) -> Figures:
    """By model, of the test set."""
    found = manifests.load(root, "metrics").manifest.info["reports"]["classes"]["metrics"]
    return {
        f"{row['model']} accuracy": row["value"] for row in found if row["metric"] == "accuracy"
    }


@contextmanager
def prepared() -> Iterator[Path]:
    """A root with the recordings' spectrograms."""
    with TemporaryDirectory(prefix="emberline-bench-") as temporary:
        base = Path(temporary) / "base"
        settings = {"sounds.path": RECORDINGS}
        emberline.run(PIPELINE, root=base, settings=settings, only="prepare-sounds")
        yield base


def measure(report: Report, base: Path, name: str, settings: dict[str, Any]) -> None:
    """One case."""
    if report.wants(name):
        root = base.parent / name.replace(" ", "-")
        work = partial(run, root, base, settings)
        report.compare(name, [Subject("emberline", work, accuracies)])


def main() -> None:
    options = harness.options(__doc__)
    seeds, speakers = ((1,), SPEAKERS[:1]) if options.quick else ((1, 2, 3), SPEAKERS)
    with harness.spark(options), harness.report(options) as report, prepared() as base:
        for seed in seeds:
            measure(report, base, f"official seed {seed}", {"cnn.seed": seed})
        for speaker in speakers:
            group = {"shards.group.pattern": "_(speaker[0-9]+)_", "shards.group.test": [speaker]}
            measure(report, base, f"without {speaker}", group)


if __name__ == "__main__":
    main()
