"""What a training leaves: the artifact `cnn`, with the model, its history and its summaries."""

import json
from pathlib import Path

import keras

from emberline.cnn.model_file import MODEL_FILE, content_of
from emberline.cnn.progress import Progress
from emberline.datasets.facts import Classes, CnnTraining, Pictures, Task, merged
from emberline.datasets.info import Facts
from emberline.datasets.parts import write_file
from emberline.models import CNN
from emberline.runs.stage_run import StageRun
from emberline.sections.cnn import CnnConfig


def add(run: StageRun[CnnConfig], model: keras.Model, progress: Progress, events: Path) -> None:
    """Write and announce the best epoch's model; `events` is the folder of summaries."""
    best = next(row for row in progress.history if row["epoch"] == progress.best_epoch)
    shards = run.inputs["shards_val"].manifest
    task = shards.facts(Task)
    facts: list[Facts] = [
        task,
        CnnTraining(progress.best_epoch, progress.history, progress.seconds),
        shards.facts(Pictures),
    ]
    facts += [shards.facts(Classes)] if task.task == "class" else []
    folder = run.outputs.folder(CNN.name)
    parts = [
        write_file(content_of(model), folder, MODEL_FILE),
        write_file(json.dumps(merged(facts), indent=1).encode(), folder, "history.json"),
        *(
            write_file(file.read_bytes(), folder, f"tensorboard/{file.name}")
            for file in sorted(events.iterdir())
        ),
    ]
    rank = run.inputs["shards_train"].manifest.rank
    run.outputs.add(CNN.name, parts, *facts, rank=rank, seed=run.settings.seed)
    run.outputs.measure(training={"epochs": progress.epoch, **best})
