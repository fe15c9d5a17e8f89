"""A teacher: a trained network of another root, whose answers a network learns beside the labels.

It sees each picture as the one that learns sees it, flipped and shifted alike, in the same step:
its answers to the pictures as they were stored would be those to others (Beyer et al. 2022,
Knowledge distillation: a good teacher is patient and consistent).
"""

from functools import partial
from typing import Any

import keras
import tensorflow as tf

from emberline.cnn.losses import Teaching
from emberline.cnn.model_file import load_model
from emberline.cnn.targets import Components
from emberline.datasets.facts import Classes, Pictures, Task
from emberline.datasets.manifest import Dataset
from emberline.errors import ConfigError
from emberline.sections.teacher import SETTING, TeacherConfig


def teaching(
    config: TeacherConfig, teacher: Dataset, train: Dataset, components: Components | None
) -> Teaching:
    """What the teacher teaches a network that is trained on `train`, of factors their components;
    to be called in the strategy's scope. Raises ConfigError for a teacher of something else.
    """
    _check(teacher, train)
    model = load_model(teacher)
    model.trainable = False
    answers = partial(_answers, model=model, components=components)
    return Teaching(answers, config.weight, config.temperature)


def _answers(pixels: tf.Tensor, model: keras.Model, components: Components | None) -> Any:
    outputs = model(pixels, training=False)
    if components is None:
        return outputs
    return tf.matmul(outputs - components.mean, components.forward)


def _check(teacher: Dataset, train: Dataset) -> None:
    """Raises ConfigError for the first thing by which the teacher cannot be one."""
    theirs, ours = teacher.manifest, train.manifest
    tasks = {"class": "classes", "factors": "factors"}
    task, other = ours.facts(Task).task, theirs.facts(Task).task
    if task != other:
        _refuse(teacher, f"predicts {tasks[other]}, and {tasks[task]} are to be learnt")
    if theirs.facts(Pictures) != ours.facts(Pictures):
        sizes = [" x ".join(map(str, each.facts(Pictures).shape)) for each in (theirs, ours)]
        _refuse(teacher, f"takes pictures of {sizes[0]}, these are {sizes[1]}")
    if task == "class" and theirs.facts(Classes) != ours.facts(Classes):
        _refuse(teacher, f"knows {_differing(theirs.facts(Classes), ours.facts(Classes))}")
    if task == "factors" and theirs.produced_by.inputs.get(train.name) != ours.identity():
        _refuse(
            teacher,
            "has learnt other factors, whose numbers mean something else: train both in roots with"
            " one base that has shards_train",
        )


def _differing(theirs: Classes, ours: Classes) -> str:
    """The first class in which two lists differ, or how long they are."""
    if len(theirs.classes) != len(ours.classes):
        return f"{len(theirs.classes)} classes, here are {len(ours.classes)}"
    pairs = enumerate(zip(theirs.classes, ours.classes, strict=True))
    place, (one, other) = next((at, pair) for at, pair in pairs if len(set(pair)) > 1)
    return f"{one!r} as class {place}, which is {other!r} here"


def _refuse(teacher: Dataset, why: str) -> None:
    raise ConfigError(f"{SETTING}, the network in {teacher.folder}, {why}")
