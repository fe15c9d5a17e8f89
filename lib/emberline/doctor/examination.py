"""The whole of `emberline doctor`: every check, those that start processes side by side."""

import os
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

from emberline import extras
from emberline.doctor import (
    account,
    clock,
    cores,
    java,
    language,
    limits,
    memory,
    network,
    packages,
    places,
    spark,
    tensorflow,
)
from emberline.doctor.check import Check, softened
from emberline.doctor.connectors import check_connectors
from emberline.doctor.extra_packages import check_extras
from emberline.doctor.master import check_master
from emberline.doctor.pipeline import Target, check_datasets, check_inputs, check_rows
from emberline.doctor.privacy import check_privacy
from emberline.doctor.probes import Probes
from emberline.launch import cgroups

Look = Callable[[], list[Check]]
_WHEN_LARGE = "where what a stage takes does not fit spark.driver_memory"


def examine(read: tuple[Target, list[Check]], environment: Mapping[str, str]) -> list[Check]:
    """The machine, and with a pipeline or a root also what they need. What is wrong is in the
    lines; nothing is raised.
    """
    target, lines = read
    control = cgroups.read_limits()
    usable = cgroups.usable_cores(control.cores)
    with ThreadPoolExecutor() as pool, Probes() as probes:
        looks = (
            lambda: packages.check_packages(extras=_extras(target)),
            lambda: check_extras(target.config, target.stages),
            *_look_at_engines(probes, target, environment, usable),
            lambda: _look_at_machine(target, environment, control, usable),
            lambda: _look_at_places(target, environment),
        )
        return [*lines, *chain.from_iterable(pool.map(lambda look: look(), looks))]


def _extras(target: Target) -> list[str]:
    """The package's extras whose versions count; one that is missing has a line of its own."""
    asked = (stage.extra(target.config) for stage in target.stages)
    needed = {extra for extra in asked if extra}
    of_engines = {"tensorflow": extras.TRAIN, "spark": extras.SPARK}
    needed |= {extra for engine, extra in of_engines.items() if engine in target.engines}
    return sorted(extra.name for extra in needed if extra.is_here())


def _look_at_engines(
    probes: Probes, target: Target, environment: Mapping[str, str], usable: int
) -> list[Look]:
    """Spark and TensorFlow, where something runs on them."""
    config = target.config
    looks: list[Look] = []
    if "spark" in target.engines:
        looks += [
            lambda: java.check_java(probes, environment),
            lambda: [
                spark.check_spark_home(environment),
                spark.check_pyspark(),
                spark.check_start(probes, environment),
            ],
            lambda: [
                spark.check_workers(probes, environment, config.spark.master),
                spark.check_blas(environment),
            ],
            lambda: [
                check_master(config.spark.master, environment),
                *check_connectors(target, environment),
            ],
        ]
    if target.stages and not any(stage.needs_spark(config) for stage in target.stages):
        looks = [partial(_softened, look) for look in looks]
    if "tensorflow" in target.engines:
        looks.append(lambda: tensorflow.check_tensorflow(probes, environment, config, usable))
    return looks


def _softened(look: Look) -> list[Check]:
    return [softened(check, _WHEN_LARGE) for check in look()]


def _look_at_machine(
    target: Target, environment: Mapping[str, str], control: cgroups.Limits, usable: int
) -> list[Check]:
    return [
        memory.check_memory(target.config, target.engines, usable, control.memory),
        cores.check_cores(target.config.spark, usable, os.cpu_count() or 1),
        account.check_account(),
        limits.check_open_files(),
        *limits.check_shared_memory(),
        network.check_loopback(),
        network.check_host_name(environment, socket.gethostname(), target.config.spark.master),
        *network.check_trainers(
            target.config.cnn, target.root is None or isinstance(target.root, Path)
        ),
        clock.check_clock(),
        clock.check_time_zone(environment),
        language.check_language(environment),
    ]


def _look_at_places(target: Target, environment: Mapping[str, str]) -> list[Check]:
    config = target.config.spark
    checks = places.check_temporary(config, environment)
    checks += places.check_native_code(config, places.JAVA, places.mount_flags(places.JAVA))
    checks += check_privacy(target.config, target.root)
    needs, size = check_inputs(target)
    if target.root is not None:
        needs += [
            places.check_root(target.root, size),
            places.check_checkpoints(target.root, config),
        ]
    for check in (check_rows, check_datasets):
        if all(line.state != "error" for line in needs):
            needs += check(target)
    return checks + needs
