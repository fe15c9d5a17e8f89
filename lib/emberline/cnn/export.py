"""The stage export-model: the trained network as the Keras model and in small forms, each measured
on the same pictures: how good it is, how large, and how quick.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from emberline.cnn import litert, onnx
from emberline.cnn.model_file import MODEL_FILE, content_of, in_float32, load_model
from emberline.cnn.parity import Accuracy, Area, Cosine, Measure
from emberline.cnn.shards import Rows, Shards
from emberline.datasets.facts import Classes, Exported, Pictures, Task
from emberline.datasets.light import Form, LightForm
from emberline.datasets.parts import write_file
from emberline.errors import EmptyDatasetError
from emberline.images.pixels import Pixels
from emberline.logs import event
from emberline.models import ALS, CNN, EXPORTED
from emberline.numeric.arrays import Float32, Int32
from emberline.runs.inputs import Inputs
from emberline.runs.stage_run import StageRun
from emberline.sections.export import ExportConfig
from emberline.serving.light import run_by

log = logging.getLogger(__name__)
_BATCH = 256
_TIMED, _ROUNDS = 256, 5  # pictures, and how often they are timed, of which the quickest counts


@dataclass(frozen=True)
class Written:
    """The network in one form: its file, and what that answers to pictures, by a clock of the
    processor's time that it takes.
    """

    form: Form
    file: str
    content: bytes
    answer: Callable[[Pixels], Float32]
    clock: Callable[[], float]
    scale: float = 1.0
    zero_point: int = 0


def run(run: StageRun[ExportConfig]) -> None:
    """Convert, measure, and write the artifact `exported_model`."""
    model = load_model(run.inputs[CNN.name])
    train, tested = Shards(run.inputs["shards_train"]), _tested(run.inputs)
    for shards in (train, tested):
        shards.check_taken_by(model)
    # rows are in the order of a hash
    shown = np.concatenate(
        [rows.pixels for _, rows in _first(train, run.settings.calibration_pictures)]
    )
    written, exact = [_kept(model)], in_float32(model)
    for form in run.settings.forms:
        run.control.progress(f"writing {form}")
        written.append(_converted(exact, form, shown))
    run.control.progress("measuring")
    speeds = _speeds(written, shown[:_TIMED])
    measure, outputs = _answered(run, written, tested)
    forms = _measured(run.settings, written, measure, outputs, speeds)
    _add(run, written, Exported(measure.name, tested.dataset.name, len(outputs[0]), forms))


def _tested(inputs: Inputs) -> Shards:
    """What the forms are measured on. Raises EmptyDatasetError where there is no picture."""
    for name in ("shards_test", "shards_val"):
        if inputs[name].rows:
            return Shards(inputs[name])
    raise EmptyDatasetError(
        "there is no picture for testing and none for choosing: set shards.test, such as 0.2"
    )


def _first(shards: Shards, count: int) -> Iterator[tuple[Int32, Rows]]:
    """The items and rows of the first so many pictures, row group by row group."""
    for number, rows in enumerate(shards.groups(range(len(shards.group_rows)))):
        some = rows.take(slice(0, count))
        yield shards.items(number).to_numpy()[:count], some
        count -= len(some)
        if count <= 0:
            return


def _kept(model: keras.Model) -> Written:
    call = tf.function(partial(model, training=False), autograph=False, reduce_retracing=True)

    def answer(pixels: Pixels) -> Float32:
        found = [
            call(tf.convert_to_tensor(pixels[first : first + _BATCH])).numpy()
            for first in range(0, len(pixels), _BATCH)
        ]
        return np.concatenate(found)

    return Written("keras", MODEL_FILE, content_of(model), answer, time.process_time)


def _converted(model: keras.Model, form: Form, shown: Pixels) -> Written:
    if form == "onnx":
        file, content = "model.onnx", onnx.converted(model)
    else:
        file, content = f"model-{form}.tflite", litert.converted(model, form, shown)
    runs = run_by(form)(content)
    return Written(form, file, content, runs.outputs, time.thread_time, runs.scale, runs.zero_point)


def _speeds(written: Sequence[Written], pictures: Pixels) -> list[float]:
    """Pictures a second of one thread, timed in turns."""
    best = [0.0] * len(written)
    for _ in range(1 + _ROUNDS):  # the first one warms up
        for place, each in enumerate(written):
            began = each.clock()
            each.answer(pictures)
            best[place] = max(best[place], len(pictures) / max(each.clock() - began, 1e-9))
    return best


def _answered(
    run: StageRun[ExportConfig], written: Sequence[Written], tested: Shards
) -> tuple[Measure, list[Float32]]:
    """What each form answers to the pictures, (n, outputs), and what that is measured by."""
    items, targets = [], []
    outputs: list[list[Float32]] = [[] for _ in written]
    for some, rows in _first(tested, run.settings.test_pictures):
        items.append(some)
        targets.append(rows.targets)
        for each, found in zip(written, outputs, strict=True):
            found.append(each.answer(rows.pixels))
        run.control.progress(f"{sum(map(len, items)):,} pictures measured")
    joined = [np.concatenate(found) for found in outputs]
    if tested.dataset.manifest.facts(Task).task == "class":
        return Accuracy(np.concatenate(targets)), joined
    asked = run.inputs["holdout"], run.inputs[ALS.lists[0]]
    return Area.of(*asked, np.concatenate(items)) or Cosine(joined[0]), joined


def _measured(
    settings: ExportConfig,
    written: Sequence[Written],
    measure: Measure,
    outputs: Sequence[Float32],
    speeds: Sequence[float],
) -> list[LightForm]:
    """What there is to say of each form; one that is too bad is warned of."""
    most = {
        "accuracy": settings.max_accuracy_loss,
        "auc": settings.max_auc_loss,
        "cosine": settings.max_distance,
    }[measure.name]
    network, forms = measure.value(outputs[0]), []
    for each, found, speed in zip(written, outputs, speeds, strict=True):
        value, distance = measure.value(found), measure.distance(found, outputs[0])
        size, quantized = len(each.content), (each.scale, each.zero_point)
        told = (value, network - value, most, distance, round(speed, 1))
        forms.append(LightForm(each.form, each.file, size, *told, *quantized))
        if not forms[-1].holds:
            facts = {measure.name: value, "loss": network - value, "most": most}
            log.warning(event("form_loses_too_much", form=each.form, **facts))
    return forms


def _add(run: StageRun[ExportConfig], written: Sequence[Written], exported: Exported) -> None:
    """Announce the files, and what a reader has to know of them."""
    folder, cnn = run.outputs.folder(EXPORTED), run.inputs[CNN.name].manifest
    parts = [write_file(each.content, folder, each.file) for each in written]
    facts = [cnn.facts(Task), cnn.facts(Pictures), cnn.given(Classes), exported]
    run.outputs.add(EXPORTED, parts, *(each for each in facts if each), rank=cnn.rank)
    run.outputs.measure(
        forms={each.form: {exported.measured_by: each.value} for each in exported.forms}
    )
