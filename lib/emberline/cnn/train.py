"""The stage train-cnn: the loop around the steps: epochs, validation, checkpoints, early stopping, the best model's export.

Training continues exactly where a killed attempt at the same fingerprint has left its last checkpoint, also within an epoch.
"""

import json
import logging
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from emberline.cnn import checkpoint
from emberline.cnn.checkpoint import Checkpoint
from emberline.cnn.model import build, with_frozen_layer
from emberline.cnn.reader import Reader, Shards
from emberline.cnn.strategy import make_strategy
from emberline.cnn.targets import Components, fit_components
from emberline.cnn.trainer import Trainer, losses, make_optimizer
from emberline.config import CnnConfig
from emberline.datasets.parts import write_file
from emberline.errors import TrainingError
from emberline.logs import event
from emberline.runner import StageRun

log = logging.getLogger(__name__)
MODEL_FILE = "model.keras"
_PROGRESS_STEPS = 20


def run(run: StageRun) -> None:
    """Train on `shards_train`, choose by `shards_val`, and write the artifact `cnn`."""
    config: CnnConfig = run.settings
    train, val = (Shards(run.inputs[name], config.cache_mib << 20) for name in ("shards_train", "shards_val"))
    training = Training(run, config, train, val)
    training.resume()
    while not training.is_over:
        training.one_epoch()
    _export(run, training)


@dataclass
class Progress:
    """Where training stands; what a checkpoint holds besides arrays. `waited` counts epochs since the best one."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_epoch: int = 0
    waited: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Training:
    """Model, data and progress of one training. `step` counts within the epoch, from 0."""

    def __init__(self, run: StageRun, config: CnnConfig, train: Shards, val: Shards) -> None:
        info = train.dataset.manifest.info
        self._run, self._config, self._val, self.task = run, config, val, info["task"]
        self.components = fit_components(train.targets(), config.components) if self.task == "factors" else None
        self._target_of = self.components.targets if self.components else np.asarray
        self._reader = Reader(train, config, self._target_of)
        self._steps = self._reader.plan.steps
        outputs = len(info["classes"]) if self.components is None else self.components.forward.shape[1]
        strategy = make_strategy(config.replicas, config.deterministic)
        with strategy.scope():
            model = build(config, train.shape, info["mean"], info["std"], outputs)
            self.trainer = Trainer(strategy, model, make_optimizer(config, self._steps), self.task)
        self.progress = Progress()
        self.best: list[Any] = []
        self._folder = run.work / "checkpoints"
        self._local = tempfile.TemporaryDirectory()
        self._events = tf.summary.create_file_writer(str(self.events_folder))
        self._saved_at = time.monotonic()

    @property
    def events_folder(self) -> Path:
        """Where TensorBoard's summaries are while training goes on: with the checkpoints, where TensorFlow can write there."""
        work = self._run.work
        return (work if isinstance(work, Path) else Path(self._local.name)) / "tensorboard"

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or the best one is `patience` epochs ago."""
        gave_up = self._config.patience is not None and self.progress.waited >= self._config.patience
        return self.progress.epoch >= self._config.epochs or gave_up

    def resume(self) -> None:
        """Continue from the last checkpoint, if there is one."""
        saved = checkpoint.load_latest(self._folder)
        if saved is None:
            return
        self.trainer.assign(saved.variables)
        self.best = saved.best
        self.progress = Progress(**saved.state)
        log.info(event("training_resumed", epoch=self.progress.epoch, step=self.progress.step))

    def one_epoch(self) -> None:
        """Train to the epoch's end, measure, and save."""
        progress, began = self.progress, time.monotonic()
        seconds_before, rows_before = progress.seconds, progress.weight_sum
        batches = self._reader.batches(progress.epoch, progress.step, self.trainer.replicas)
        while progress.step < self._steps:
            self._some_steps(batches)
            progress.seconds = seconds_before + time.monotonic() - began
            self._show((progress.weight_sum - rows_before) / (time.monotonic() - began))
        self._finish_epoch((progress.weight_sum - rows_before) / (time.monotonic() - began))
        self._save()

    def _some_steps(self, batches: Any) -> None:
        """Up to the next line of progress, or the next checkpoint."""
        progress = self.progress
        until = min(
            *(progress.step // every * every + every for every in (_PROGRESS_STEPS, self._config.checkpoint_steps)), self._steps
        )
        try:
            loss_sum, weight_sum = self.trainer.train(batches, until - progress.step)
        except TrainingError as error:
            raise TrainingError(f"epoch {progress.epoch + 1}, step {progress.step} of {self._steps}: {error}") from None
        progress.loss_sum += loss_sum
        progress.weight_sum += weight_sum
        progress.step = until
        if until % self._config.checkpoint_steps == 0 and until < self._steps:
            self._save()

    def _finish_epoch(self, rate: float) -> None:
        progress = self.progress
        measured = {"loss": progress.loss_sum / progress.weight_sum, **self._measure()}
        progress.epoch += 1
        row = {"epoch": progress.epoch, **measured, "learning_rate": self._learning_rate(), "images_per_second": round(rate, 1)}
        progress.history.append(row)
        is_better = measured["val_loss"] < progress.best_loss
        if is_better:
            progress.best_loss, progress.best_epoch, progress.waited = measured["val_loss"], progress.epoch, 0
            self.best = self.trainer.model_values()
        else:
            progress.waited += 1
        progress.step, progress.loss_sum, progress.weight_sum = 0, 0.0, 0.0
        self._summarise(row)
        log.info(event("epoch_finished", **row))

    def _measure(self) -> dict[str, float]:
        """The loss, and for classes the accuracy, on the validation rows."""
        loss = correct = 0.0
        for rows in self._val.in_order():
            outputs, targets = self.trainer.outputs(rows.pixels), self._target_of(rows.targets)
            loss += float(tf.reduce_sum(losses(self.task, tf.convert_to_tensor(targets), tf.convert_to_tensor(outputs))))
            correct += float((outputs.argmax(axis=1) == targets).sum()) if self.task == "class" else 0.0
        measured = {"val_loss": loss / len(self._val)}
        return measured | ({"val_accuracy": correct / len(self._val)} if self.task == "class" else {})

    def _learning_rate(self) -> float:
        return float(self.trainer.optimizer.learning_rate.numpy())

    def _show(self, rate: float) -> None:
        """How far, how fast, and how long still, if no epoch is saved by early stopping."""
        progress = self.progress
        done = progress.epoch + progress.step / self._steps
        left = (self._config.epochs - done) * self._steps * self._config.global_batch_size / max(rate, 1e-9)
        epoch = min(progress.epoch + 1, self._config.epochs)
        self._run.progress(
            f"epoch {epoch}/{self._config.epochs}, loss {progress.loss_sum / max(progress.weight_sum, 1):.4f}, "
            f"{rate:,.0f} images/s, {int(left) // 60}:{int(left) % 60:02d} left"
        )

    def _summarise(self, row: dict[str, float]) -> None:
        """One point of every curve in TensorBoard. Its own helper for that is in a package that only viewers need."""
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class=1)
        with self._events.as_default():
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.write(name, tf.constant(value, tf.float32), step=int(row["epoch"]), metadata=metadata)
        self._events.flush()

    def _save(self) -> None:
        state = asdict(self.progress)
        step = self.progress.epoch * self._steps + self.progress.step
        checkpoint.save(self._folder, step, Checkpoint(self.trainer.values(), self.best, state))

    def exported(self) -> keras.Model:
        """The best epoch's model; of factors, one that gives factors."""
        self.trainer.assign_model(self.best)
        if self.components is None:
            return self.trainer.model
        components: Components = self.components
        return with_frozen_layer(self.trainer.model, components.back, components.mean)


def _export(run: StageRun, training: Training) -> None:
    config: CnnConfig = run.settings
    progress = training.progress
    best = next(row for row in progress.history if row["epoch"] == progress.best_epoch)
    facts = {"task": training.task, "best_epoch": progress.best_epoch, "history": progress.history, "seconds": progress.seconds}
    info = training._val.dataset.manifest.info
    facts |= {name: info[name] for name in ("height", "width", "channels", "classes") if name in info}
    folder = run.folder("cnn")
    parts = [
        write_file(_saved(training.exported()), folder, MODEL_FILE),
        write_file(json.dumps(facts, indent=1).encode(), folder, "history.json"),
        *(write_file(file.read_bytes(), folder, f"tensorboard/{file.name}") for file in sorted(training.events_folder.iterdir())),
    ]
    run.add("cnn", parts, rank=run.inputs["shards_train"].manifest.rank, seed=config.seed, **facts)
    run.metrics |= {"training": {"epochs": progress.epoch, **best}}


def _saved(model: keras.Model) -> bytes:
    """The model as a file's bytes; Keras itself writes only to this machine's files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL_FILE
        model.save(path)
        return path.read_bytes()
