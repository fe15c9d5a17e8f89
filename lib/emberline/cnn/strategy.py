"""Where a model is computed: on one device, or on several that keep the same weights."""

import tensorflow as tf

from emberline.errors import ConfigError


def make_strategy(replicas: int, deterministic: bool) -> tf.distribute.Strategy:
    """TensorFlow's default for one replica, else MirroredStrategy on as many GPUs, or on logical devices of the CPU.

    Raises ConfigError where there are GPUs, but fewer than replicas, or where TensorFlow has started with other devices.
    """
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if replicas == 1:
        return tf.distribute.get_strategy()
    if gpus and len(gpus) < replicas:
        raise ConfigError(f"cnn.replicas = {replicas}, but this machine has {len(gpus)} GPUs; lower it")
    if not gpus:
        _split_cpu(replicas)
    kind = "GPU" if gpus else "CPU"
    return tf.distribute.MirroredStrategy([f"/{kind}:{number}" for number in range(replicas)])


def _split_cpu(parts: int) -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * parts)
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < parts:
            raise ConfigError(
                f"cnn.replicas = {parts}, but TensorFlow runs already with fewer CPU devices in this process"
            ) from None
