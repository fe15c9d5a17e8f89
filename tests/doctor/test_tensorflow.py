"""Whether TensorFlow imports, and on what the network is trained."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from emberline.doctor.check import Check
from emberline.doctor.probes import Probes
from emberline.doctor.tensorflow import check_gpus, check_replicas, check_tensorflow
from emberline.sections.config import Config

Broken = Callable[[str], Check]


@pytest.fixture
def broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probes: Probes, environment: dict[str, str]
) -> Broken:
    """`broken(code)` is what the doctor says where importing TensorFlow runs `code`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def check(code: str) -> Check:
        (tmp_path / "tensorflow.py").write_text(code, encoding="utf-8")
        (tmp_path / "keras.py").touch()
        (line,) = check_tensorflow(probes, environment, Config(), 2)
        return line

    return check


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (signal.SIGILL, "this CPU lacks instructions"),
        (signal.SIGKILL, "free memory"),
        (signal.SIGSEGV, "make the environment anew"),
    ],
)
def test_a_crash_of_the_import_is_a_line_with_a_remedy(
    broken: Broken, number: signal.Signals, remedy: str
) -> None:
    line = broken(f"import os; os.kill(os.getpid(), {int(number)})")
    assert line.state == "error"
    assert (
        line.found == f"import tensorflow, keras was killed by signal {int(number)} ({number.name})"
    )
    assert line.remedy.startswith(remedy)


def test_what_tensorflow_says_of_an_old_cpu_before_it_aborts_is_understood(broken: Broken) -> None:
    said = (
        "The TensorFlow library was compiled to use AVX instructions, but these aren't available on"
        " your machine."
    )
    line = broken(
        f"import os, sys; print({said!r}, file=sys.stderr); sys.stderr.flush(); os.abort()"
    )
    assert line.found.endswith(f"(SIGABRT): {said}")
    assert line.remedy.startswith("this CPU lacks instructions")


def test_an_import_that_fails_is_told_by_its_error(broken: Broken) -> None:
    assert broken("raise ImportError('libcuda is torn')").found.endswith(
        "ImportError: libcuda is torn"
    )


def test_keras_on_something_else_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, probes: Probes, environment: dict[str, str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "keras.py").write_text(
        "class backend:\n    backend = staticmethod(lambda: 'torch')\n", encoding="utf-8"
    )
    config = (
        "class config:\n    list_physical_devices = staticmethod(lambda kind: [])\n__version__ ="
        " '2'\n"
    )
    (tmp_path / "tensorflow.py").write_text(config, encoding="utf-8")
    (line,) = check_tensorflow(probes, environment, Config(), 2)
    assert (line.state, line.found) == ("error", "Keras computes with torch")


def test_gpus_that_tensorflow_does_not_see_are_a_warning() -> None:
    assert check_gpus(0, []).state == "ok"
    assert check_gpus(2, ["/dev/nvidia0", "/dev/nvidia1"]).state == "ok"
    assert check_gpus(0, ["/dev/nvidia0"]).found == "TensorFlow sees 0 of this machine's 1"


def test_replicas_need_as_many_gpus_where_there_are_any() -> None:
    assert check_replicas(2, gpus=1, cores=8).state == "error"
    assert check_replicas(2, gpus=2, cores=1).state == "ok"
    assert check_replicas(4, gpus=0, cores=2).state == "warning"
    assert check_replicas(2, gpus=0, cores=2).state == "ok"
