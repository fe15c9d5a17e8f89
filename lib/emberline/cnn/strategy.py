"""Where a model is computed: on one device, or on several, of one process or of many, that keep
the same weights.
"""

from typing import Any

import tensorflow as tf

from emberline.errors import ConfigError

Strategy = Any  # tf.distribute.Strategy: TensorFlow has no types


def make_strategy(replicas: int, deterministic: bool, workers: int = 1) -> Strategy:
    """TensorFlow's default for one replica, else MirroredStrategy on as many GPUs, or on logical
    devices of the CPU.

    With several `workers`, which TF_CONFIG introduces to each other, MultiWorkerMirroredStrategy,
    of `replicas` on each. Raises ConfigError where there are GPUs, but fewer than replicas, or
    where TensorFlow has started with other devices.
    """
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus and len(gpus) < replicas:
        raise ConfigError(
            f"{replicas} replicas were asked for, but this machine has {len(gpus)} GPUs; ask for"
            " fewer"
        )
    if workers > 1:
        return _of_workers(gpus, replicas)
    if replicas == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        _split_cpu(replicas)
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"/{kind}:{number}" for number in range(replicas)])


def _of_workers(gpus: list[Any], replicas: int) -> Strategy:
    """MultiWorkerMirroredStrategy takes all GPUs that it sees, or one CPU device."""
    if not gpus and replicas > 1:
        raise ConfigError(
            f"{replicas} replicas a worker need GPUs, and this machine has none; ask for more"
            " workers of one replica"
        )
    tf.config.set_visible_devices(gpus[:replicas], "GPU")
    return tf.distribute.MultiWorkerMirroredStrategy()


def rank_of(strategy: Strategy) -> int:
    """Which of the workers this process is; 0 is the chief, who alone writes."""
    resolver = strategy.cluster_resolver
    return int(resolver.task_id or 0) if resolver else 0


def workers_of(strategy: Strategy) -> int:
    """How many processes there are."""
    resolver = strategy.cluster_resolver
    return max(1, len(resolver.cluster_spec().as_dict().get("worker", ()))) if resolver else 1


def served_by(strategy: Strategy) -> range:
    """The replicas, of all, that this process computes."""
    mine = strategy.num_replicas_in_sync // workers_of(strategy)
    return range(rank_of(strategy) * mine, (rank_of(strategy) + 1) * mine)


def _split_cpu(parts: int) -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * parts
        )
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < parts:
            raise ConfigError(
                f"{parts} replicas were asked for, but TensorFlow runs already with fewer CPU"
                " devices in this process"
            ) from None
