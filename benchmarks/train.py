"""Training the `cifar` net in batches of 32: an epoch from shards, from arrays in memory, and by
Keras on arrays in memory.

- emberline is the trainer's loop fed by the reader: shards are read, checked, shuffled and cut into
  batches beside the steps.
- arrays is the same loop, fed with rows of arrays in memory by a permutation of them: as if reading
  cost next to nothing.
- keras is `fit` on the same arrays, shuffled, with the same net, optimizer and loss.

Each of the three lives in a process of its own, has learnt one epoch before it is measured, and
computes deterministically. An epoch of ours begins with an empty reader; the stage has it read
while the epoch before is measured.

The stage, run by the runner as `emberline run` does, with one trainer process and with two: its
epochs' seconds, as its history says them, without starting TensorFlow, checking parts and
validation. Two processes on one machine of two cores share what one of them can use alone: this
shows what the exchange of gradients costs, not a speed-up.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import harness
import numpy as np
from harness import Figures, Report, Subject
from pictures import SHAPE, in_memory, pictures, publish

from emberline import stages
from emberline.datasets.manifest import load
from emberline.runs import runner
from emberline.sections.cnn import CnnConfig
from emberline.sections.config import Config

if TYPE_CHECKING:  # only the processes that train load TensorFlow
    from emberline.cnn.trainer import Steps, Trainer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
SETTINGS: dict[str, Any] = {"model": "cifar", "input": {"global_batch_size": 32}}
CONFIG = CnnConfig.model_validate(SETTINGS)
CLASSES = 10
_CHANNELS = ([0.5] * 3, [0.25] * 3)  # their means and standard deviations
_STAGE_EPOCHS = 3  # of which the first, in which TensorFlow traces, is left out


@dataclass(frozen=True)
class Learnt:
    """What an epoch came to: rows and steps, and the rows' mean loss while learning."""

    rows: int
    steps: int
    loss: float


# --------------------------------------------------------------------------------------------------
# subjects Each gives the function that learns an epoch, by its number.


def emberline(root: Path) -> Callable[[int], Learnt]:
    from emberline.cnn.reader import Reader
    from emberline.cnn.shards import Shards

    reader, trainer = (
        Reader(Shards(load(root, "shards_train")), CONFIG.input, CONFIG.seed),
        _trainer(),
    )

    def epoch(number: int) -> Learnt:
        return _learnt(trainer.train(reader.batches(number, 0, 1), reader.plan.steps))

    return epoch


def arrays(root: Path) -> Callable[[int], Learnt]:
    from emberline.cnn.reader import Batch

    pixels, labels = in_memory(root)
    trainer, size = _trainer(), CONFIG.input.global_batch_size

    def batches(number: int) -> Iterator[list[Batch]]:
        order = np.random.default_rng([CONFIG.seed, number]).permutation(len(labels))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield [
                Batch(pixels[rows], labels[rows], np.ones(len(rows), np.float32), float(len(rows)))
            ]

    def epoch(number: int) -> Learnt:
        return _learnt(trainer.train(batches(number), -(-len(labels) // size)))

    return epoch


def keras_fit(root: Path) -> Callable[[int], Learnt]:
    import keras

    model = _trainer().model
    pixels, labels = in_memory(root)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(CONFIG.optimizer.learning_rate), loss)

    def epoch(number: int) -> Learnt:
        before = int(model.optimizer.iterations)
        history = model.fit(
            pixels,
            labels,
            batch_size=CONFIG.input.global_batch_size,
            epochs=number + 1,
            initial_epoch=number,
            verbose=0,
        )
        return Learnt(
            len(labels), int(model.optimizer.iterations) - before, history.history["loss"][0]
        )

    return epoch


def _trainer() -> "Trainer":
    """As the stage makes it, in a process that computes deterministically from now on."""
    from emberline.cnn.model import build
    from emberline.cnn.strategy import make_strategy
    from emberline.cnn.trainer import Trainer, make_optimizer

    strategy = make_strategy(replicas=1, deterministic=True)
    model = build(CONFIG, SHAPE, *_CHANNELS, CLASSES)
    return Trainer(strategy, model, make_optimizer(CONFIG, steps_per_epoch=1), "class", CONFIG)


def _learnt(done: "Steps") -> Learnt:
    return Learnt(round(done.weight_sum), done.taken, done.loss_sum / done.weight_sum)


SUBJECTS = {"emberline": emberline, "arrays": arrays, "keras": keras_fit}
STAGES = {"two workers": 2, "one worker": 1}


def made(name: str, root: Path) -> Subject:
    """A subject that is ready: the net built, one epoch learnt."""
    learn, numbers = SUBJECTS[name](root), count()
    judge = partial(judged, load(root, "shards_train").rows)
    judge(learn(next(numbers)))
    return Subject(name, lambda: learn(next(numbers)), judge)


def judged(rows: int, learnt: Learnt) -> Figures:
    """Raises AssertionError unless every row was learnt from, in as many steps as that takes."""
    assert learnt.rows == rows, f"{learnt.rows} rows of {rows}"
    assert learnt.steps == -(-rows // CONFIG.input.global_batch_size), f"{learnt.steps} steps"
    return {"loss": learnt.loss}


def stage(root: Path, workers: int) -> Figures:
    """Of the stage's epochs but the first: the mean of their seconds, and the last one's loss."""
    cnn = SETTINGS | {"team": {"workers": workers}, "epochs": _STAGE_EPOCHS}
    config = Config.model_validate(
        {"images": {"path": "unread"}, "shards": {"task": "class"}, "cnn": cnn}
    )
    runner.run(config, root, stages.select(config, only="train-cnn"), force=True)
    history = load(root, "cnn").manifest.info["history"]
    rows = load(root, "shards_train").rows
    assert len(history) == _STAGE_EPOCHS
    seconds = float(np.mean([rows / row["images_per_second"] for row in history[1:]]))
    shutil.rmtree(root / "cnn")
    return {"seconds": seconds, "loss": history[-1]["loss"]}


# --------------------------------------------------------------------------------------------------
# cases


def written(root: Path, rows: int) -> Path:
    """Shards of so many rows to learn from, and a few to validate by; how bright a picture is,
    is its class.
    """
    for name, number in (("shards_train", rows), ("shards_val", 1_000)):
        pixels = pictures(min(number, 10_000), seed=number)
        classes = (pixels.mean(axis=(1, 2, 3)) * CLASSES / 256).astype(np.int32)
        publish(root, name, pixels, np.resize(classes, number), CLASSES)
    return root


def measure(report: Report, rows: int, rounds: int) -> None:
    epoch, by_stage = f"epoch {rows:,} images batch 32", f"stage {rows:,} images batch 32"
    with TemporaryDirectory(prefix="emberline-bench-") as folder:
        root = written(Path(folder), rows)
        if report.wants(epoch):
            with harness.apart([partial(made, name, root) for name in SUBJECTS]) as subjects:
                show(report, report.compare(epoch, subjects, rounds), rows)
        if report.wants(by_stage):
            subjects = [
                Subject(name, partial(stage, root, n), measures_itself=True)
                for name, n in STAGES.items()
            ]
            show(report, report.compare(by_stage, subjects), rows)


def show(report: Report, row: harness.Row, rows: int) -> None:
    """Adds to the row, and prints, images a second."""
    rates = {
        who: rows / figures["seconds"]
        for who, figures in ({row["subject"]: row} | row["peers"]).items()
    }
    row["images_per_second"] = rates
    report.console.print(
        "images a second: " + ", ".join(f"{who} {rate:,.0f}" for who, rate in rates.items()) + "\n"
    )


def main() -> None:
    options = harness.options(__doc__, with_spark=False)
    with harness.report(options) as report:
        measure(report, *((2_560, 3) if options.quick else (20_480, 5)))
        if options.full:
            measure(report, 50_016, 5)


if __name__ == "__main__":
    main()
