"""The stage train-cnn: the loop around the steps: epochs, validation, checkpoints, early stopping,
the best model's export.

Training continues exactly where a killed attempt at the same fingerprint has left its last
checkpoint, also within an epoch.
"""

import itertools
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emberline.cnn import artifact, checkpoint
from emberline.cnn.ahead import Ahead
from emberline.cnn.checkpoint import Checkpoint
from emberline.cnn.losses import Teaching
from emberline.cnn.model import build, with_frozen_layer
from emberline.cnn.progress import Progress
from emberline.cnn.reader import Batch, Reader
from emberline.cnn.shards import Shards
from emberline.cnn.strategy import Strategy, make_strategy, rank_of
from emberline.cnn.targets import Components, fit_components
from emberline.cnn.teacher import teaching
from emberline.cnn.trainer import NotFiniteError, Trainer, make_optimizer
from emberline.datasets.facts import Channels, Classes, Task
from emberline.errors import Preempted, TrainingError
from emberline.logs import event
from emberline.runs.stage_run import StageRun
from emberline.sections.cnn import AGAINST_NOT_FINITE, TEACHER, CnnConfig, InputConfig

log = logging.getLogger(__name__)
_PROGRESS_STEPS = 20


def run(run: StageRun[CnnConfig]) -> None:
    """Train on `shards_train`, choose by `shards_val`, and write the artifact `cnn`.

    With several workers, this runs in each of them; the chief alone saves and writes.
    """
    config = run.settings
    strategy = make_strategy(config.team.replicas, config.deterministic, config.team.workers)
    train, val = (Shards(run.inputs[name]) for name in ("shards_train", "shards_val"))
    if config.input.verify:
        for number, shards in enumerate((train, val)):
            run.control.at("checking", number)
            shards.check(slice(rank_of(strategy), None, config.team.workers))
    with closing(Training(run, config, strategy, train, val)) as training:
        training.resume()
        while not training.is_over:
            training.one_epoch()
        if training.trainer.rank == 0:
            artifact.add(run, training.exported(), training.progress, training.events_folder)


class Training:
    """Model, data and progress of one training. `step` counts within the epoch, from 0."""

    def __init__(
        self,
        run: StageRun[CnnConfig],
        config: CnnConfig,
        strategy: Strategy,
        train: Shards,
        val: Shards,
    ) -> None:
        manifest = train.dataset.manifest
        self._run, self._config, self._val = run, config, val
        self.task = manifest.facts(Task).task
        self.components = (
            fit_components(train.targets(), config.components) if self.task == "factors" else None
        )
        self._target_of = self.components.targets if self.components else np.asarray
        pictures = _as_suits(config.input, self.task)
        self._reader = Reader(train, pictures, config.seed, self._target_of)
        self._steps = self._reader.plan.steps
        outputs = (
            len(manifest.facts(Classes).classes)
            if self.components is None
            else self.components.forward.shape[1]
        )
        levels = manifest.facts(Channels)
        with strategy.scope():
            taught = self._teaching(train)
            model = build(config, train.shape, levels.mean, levels.std, outputs)
            optimizer = make_optimizer(config, self._steps)
            self.trainer = Trainer(strategy, model, optimizer, self.task, config, taught)
        self.progress = Progress()
        self.best: list[Any] = []
        self._reading: Ahead[list[Batch]] | None = None
        self._folder = run.outputs.work / "checkpoints"
        self._local = tempfile.TemporaryDirectory()
        self._events = (
            tf.summary.create_file_writer(str(self.events_folder))
            if self.trainer.rank == 0
            else None
        )

    def _teaching(self, train: Shards) -> Teaching | None:
        if self._config.teacher is None:
            return None
        teacher = self._run.inputs[TEACHER]
        return teaching(self._config.teacher, teacher, train.dataset, self.components)

    def close(self) -> None:
        """Stop reading."""
        if self._reading:
            self._reading.close()
        self._local.cleanup()

    @property
    def events_folder(self) -> Path:
        """Where TensorBoard's summaries are while training goes on: with the checkpoints, where
        TensorFlow can write there.
        """
        work = self._run.outputs.work
        return (work if isinstance(work, Path) else Path(self._local.name)) / "tensorboard"

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or the best one is too long ago."""
        return (
            self.progress.epoch >= self._config.epochs or self.progress.waited >= self._config.waits
        )

    def resume(self) -> None:
        """Continue from the last checkpoint that the chief can read, if there is one."""
        found = checkpoint.load_latest(self._folder) if self.trainer.rank == 0 else None
        step = int(
            self.trainer.total(
                np.array([-1.0 if found is None else found[0]] if self.trainer.rank == 0 else [0.0])
            )[0]
        )
        if step < 0:
            return
        saved = found[1] if found else checkpoint.load(self._folder, step)
        self.trainer.assign(saved.variables)
        self.best = saved.best
        self.progress = Progress(**saved.state)
        log.info(event("training_resumed", epoch=self.progress.epoch, step=self.progress.step))

    def one_epoch(self) -> None:
        """Train to the epoch's end, measure, and save. Raises Preempted, having saved, where
        the process is asked to stop.
        """
        progress, began = self.progress, time.monotonic()
        seconds_before, rows_before = progress.seconds, progress.weight_sum
        batches = self._reading or self._read(progress.epoch, progress.step)
        while progress.step < self._steps:
            is_stopped = self._some_steps(batches)
            progress.seconds = seconds_before + time.monotonic() - began
            self._show((progress.weight_sum - rows_before) / (time.monotonic() - began))
            if is_stopped:
                self._save()
                raise Preempted(
                    f"training was asked to stop; epoch {progress.epoch + 1}, step {progress.step}"
                    f" of {self._steps} is saved: run it again to go on from there"
                )
        if progress.epoch + 1 < self._config.epochs:
            self._read(progress.epoch + 1, 0)  # while this epoch is measured
        self._finish_epoch((progress.weight_sum - rows_before) / (time.monotonic() - began))
        self._save()

    def _read(self, epoch: int, step: int) -> Ahead[list[Batch]]:
        self._reading = self._reader.batches(
            epoch, step, self.trainer.replicas, self.trainer.served
        )
        return self._reading

    def _announced(self, batches: Iterator[list[Batch]]) -> Iterator[list[Batch]]:
        """The batches, saying before each whether it is waited for or computed."""
        first = self.progress.epoch * self._steps + self.progress.step
        for number in itertools.count():
            self._run.control.at("reading", first + number)
            batch = next(batches, None)
            if batch is None:
                return
            self._run.control.at("step", first + number)
            yield batch

    def _some_steps(self, batches: Iterator[list[Batch]]) -> bool:
        """Up to the next line of progress, or the next checkpoint; whether training was asked
        to stop meanwhile.
        """
        progress = self.progress
        until = min(
            *(
                progress.step // every * every + every
                for every in (_PROGRESS_STEPS, self._config.checkpoint_steps)
            ),
            self._steps,
        )
        try:
            done = self.trainer.train(
                self._announced(batches), until - progress.step, self._run.control.stopping
            )
        except NotFiniteError as error:
            raise self._not_finite(error) from None
        progress.loss_sum += done.loss_sum
        progress.weight_sum += done.weight_sum
        progress.step += done.taken
        if (
            not done.stopped
            and progress.step % self._config.checkpoint_steps == 0
            and progress.step < self._steps
        ):
            self._save()
        return done.stopped

    def _not_finite(self, error: NotFiniteError) -> TrainingError:
        """What is known of it: the step, and the shards that its rows are from."""
        step = self.progress.step + error.taken
        shards = self._reader.shards
        parts = dict.fromkeys(
            shards.part_of(group).name
            for group in self._reader.plan.groups_at(self.progress.epoch, step)
        )
        return TrainingError(
            f"epoch {self.progress.epoch + 1}, step {step + 1} of {self._steps}: {error}; its rows"
            f" are from {shards.dataset.name}'s {_first(list(parts))};"
            f" {AGAINST_NOT_FINITE}"
        )

    def _finish_epoch(self, rate: float) -> None:
        progress = self.progress
        measured = {"loss": progress.loss_sum / progress.weight_sum, **self._measure()}
        progress.epoch += 1
        row = {
            "epoch": progress.epoch,
            **measured,
            "learning_rate": self._learning_rate(),
            "images_per_second": round(rate, 1),
        }
        progress.history.append(row)
        if progress.takes(measured):
            progress.best_epoch, progress.waited = progress.epoch, 0
            self.best = self.trainer.model_values()
        else:
            progress.waited += 1
        progress.step, progress.loss_sum, progress.weight_sum = 0, 0.0, 0.0
        self._summarise(row)
        log.info(event("epoch_finished", **row))

    def _measure(self) -> dict[str, float]:
        """The loss, and for classes the accuracy, on the validation rows, of which every worker
        measures its share.
        """
        sums = np.zeros(2)
        numbers = range(self.trainer.rank, len(self._val.group_rows), self.trainer.workers)
        for number, rows in zip(numbers, self._val.groups(numbers), strict=True):
            self._run.control.at("measuring", number)
            sums += self.trainer.measure(rows.pixels, self._target_of(rows.targets))
        loss, correct = (self.trainer.total(sums) / len(self._val)).tolist()
        return {"val_loss": loss} | ({"val_accuracy": correct} if self.task == "class" else {})

    def _learning_rate(self) -> float:
        return float(self.trainer.optimizer.learning_rate.numpy())

    def _show(self, rate: float) -> None:
        """How far, how fast, and how long still, if no epoch is saved by early stopping."""
        progress = self.progress
        done = progress.epoch + progress.step / self._steps
        left = (
            (self._config.epochs - done)
            * self._steps
            * self._config.input.global_batch_size
            / max(rate, 1e-9)
        )
        epoch = min(progress.epoch + 1, self._config.epochs)
        self._run.control.progress(
            f"epoch {epoch}/{self._config.epochs}, loss"
            f" {progress.loss_sum / max(progress.weight_sum, 1):.4f}, {rate:,.0f} images/s,"
            f" {int(left) // 60}:{int(left) % 60:02d} left"
        )

    def _summarise(self, row: dict[str, float]) -> None:
        """One point of every curve in TensorBoard. Its own helper for that is in a package that
        only viewers need.
        """
        if self._events is None:
            return
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=1)
        with self._events.as_default():
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.write(
                        name,
                        tf.constant(value, tf.float32),
                        step=int(row["epoch"]),
                        metadata=metadata,
                    )
        self._events.flush()

    def _save(self) -> None:
        if self.trainer.rank == 0:
            step = self.progress.epoch * self._steps + self.progress.step
            saved = Checkpoint(self.trainer.values(), self.best, asdict(self.progress))
            checkpoint.save(self._folder, step, saved, self._config.keep_checkpoints)

    def exported(self) -> keras.Model:
        """The best epoch's model; of factors, one that gives factors."""
        self.trainer.assign_model(self.best)
        if self.components is None:
            return self.trainer.model
        components: Components = self.components
        return with_frozen_layer(self.trainer.model, components.back, components.mean)


def _as_suits(pictures: InputConfig, task: str) -> InputConfig:
    """The settings with what they leave to the task: to flip pictures, where it is for factors."""
    flip = task == "factors" if pictures.flip is None else pictures.flip
    return pictures.model_copy(update={"flip": flip})


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
