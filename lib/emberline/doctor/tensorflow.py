"""TensorFlow on this machine: whether it imports, and the devices that it sees."""

import json
import signal
import sys
from collections.abc import Mapping
from glob import glob
from os import pathsep

from emberline import extras
from emberline.doctor.check import Check, error, ok, warning
from emberline.doctor.probes import Answer, Probes
from emberline.sections.config import Config

PROBE = """
import json, keras, tensorflow as tf
gpus = len(tf.config.list_physical_devices("GPU"))
print(json.dumps({"version": tf.__version__, "gpus": gpus, "backend": keras.backend.backend()}))
"""


def check_tensorflow(
    probes: Probes, environment: Mapping[str, str], config: Config, cores: int
) -> list[Check]:
    """TensorFlow and Keras, imported as the trainer does it."""
    if not extras.TRAIN.is_here():
        return [_missing(config)]
    path = pathsep.join(place for place in sys.path if place)
    answer = probes.ask(
        [sys.executable, "-c", PROBE],
        {"TF_CPP_MIN_LOG_LEVEL": "2", **environment, "PYTHONPATH": path},
    )
    if answer.failure:
        return [
            error(
                "TensorFlow imports", f"import tensorflow, keras {answer.failure}", _remedy(answer)
            )
        ]
    said = json.loads(answer.out.splitlines()[-1])
    if said["backend"] != "tensorflow":
        remedy = 'unset KERAS_BACKEND, and set "backend": "tensorflow" in ~/.keras/keras.json'
        return [error("TensorFlow imports", f"Keras computes with {said['backend']}", remedy)]
    lines = [
        ok("TensorFlow imports", f"{said['version']}, Keras on it"),
        check_gpus(said["gpus"], glob("/dev/nvidia[0-9]*")),
    ]
    replicas = config.cnn.team.replicas if config.cnn else 1
    return lines if replicas == 1 else [*lines, check_replicas(replicas, said["gpus"], cores)]


def _missing(config: Config) -> Check:
    """An error where a network is to be trained; else there are pipelines that do without."""
    if config.cnn:
        return error(
            "TensorFlow imports",
            "TensorFlow is not installed, and [cnn] trains on it",
            extras.TRAIN.remedy,
        )
    return warning(
        "TensorFlow imports",
        "TensorFlow is not installed; pipelines with [cnn] need it",
        extras.TRAIN.remedy,
    )


def _remedy(answer: Answer) -> str:
    if answer.signal == signal.SIGILL or "compiled to use" in answer.err:
        return (
            "this CPU lacks instructions (AVX) that TensorFlow is compiled for: train on another"
            " machine"
        )
    if answer.signal == signal.SIGKILL:
        return "free memory, or raise the container's limit: the import alone needs 640 MiB"
    return "make the environment anew: make clean setup"


def check_gpus(seen: int, devices: list[str]) -> Check:
    """The GPUs that TensorFlow sees beside those that the machine has."""
    if seen < len(devices):
        remedy = (
            "install TensorFlow's CUDA libraries: pip uninstall tensorflow-cpu, then pip install"
            " 'tensorflow[and-cuda]'"
        )
        return warning("GPUs", f"TensorFlow sees {seen} of this machine's {len(devices)}", remedy)
    return ok("GPUs", str(seen) if seen else "none: the network is trained on the CPU")


def check_replicas(replicas: int, gpus: int, cores: int) -> Check:
    """`cnn.team.replicas` beside the devices for them."""
    if 0 < gpus < replicas:
        return error(
            "replicas",
            f"cnn.team.replicas = {replicas}, GPUs: {gpus}",
            f"set cnn.team.replicas to {gpus} or less",
        )
    if not gpus and replicas > cores:
        return warning(
            "replicas",
            f"cnn.team.replicas = {replicas}, usable cores: {cores}",
            f"set cnn.team.replicas to {cores} or less",
        )
    return ok(
        "replicas", f"{replicas}, on {gpus} GPUs" if gpus else f"{replicas}, on {cores} cores"
    )
