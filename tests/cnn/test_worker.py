"""What a trainer says of a machine that is full: an answer, and no traceback that has it
started again.
"""

from pathlib import Path

import pytest
import tensorflow as tf

from emberline.cnn.worker import _of_the_machine
from emberline.errors import StorageError, WorkerError
from emberline.launch import memory


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "memory is used up"),
        (
            tf.errors.ResourceExhaustedError(
                None, None, "OOM when allocating tensor with shape[9]\nHint"
            ),
            "OOM when allocating tensor",
        ),
    ],
)
def test_too_little_memory_is_told_with_what_there_is(
    error: Exception, said: str, tmp_path: Path
) -> None:
    told = _of_the_machine(error, tmp_path)
    assert isinstance(told, WorkerError)
    assert str(told).startswith(f"TensorFlow ran out of memory ({memory.describe()}): {said}")
    assert str(told).endswith(
        "; lower cnn.input.global_batch_size or cnn.input.pool"
    ) and "\n" not in str(told)


def test_a_full_disk_that_tensorflow_met_is_told_as_any_other(tmp_path: Path) -> None:
    text = (
        f"{{{{function_node __wrapped__WriteSummary}}}} {tmp_path}/events.1; No space left on"
        " device [Op:WriteSummary]"
    )
    told = _of_the_machine(tf.errors.ResourceExhaustedError(None, None, text), tmp_path)
    assert isinstance(told, StorageError) and str(told).startswith(
        f"the disk of {tmp_path}/events.1 is full: "
    )


def test_a_bug_stays_a_bug(tmp_path: Path) -> None:
    assert _of_the_machine(ZeroDivisionError(), tmp_path) is None
