"""What the doctor's tests share: probes, and programs made up for a test."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emberline.doctor.probes import Probes

Program = Callable[[str, str], Path]


@pytest.fixture
def probes() -> Iterator[Probes]:
    with Probes() as started:
        yield started


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """`program(name, script)` is a shell script of that name below the test's folder,
    executable.
    """

    def write(name: str, script: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def environment() -> dict[str, str]:
    """This process's environment, without what the doctor looks for in it, and with this
    process's modules.
    """
    theirs = ("JAVA_HOME", "SPARK_", "PYSPARK_", "OPENBLAS_", "KERAS_", "HADOOP_", "YARN_", "TZ")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(theirs)}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
