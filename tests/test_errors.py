"""The hierarchy of errors, as schedulers and other processes see it."""

import pickle
import re

import pytest

from emberline import errors
from emberline.errors import (
    DataError,
    EmberlineError,
    EmptyDatasetError,
    GateError,
    ManifestError,
    NotServedError,
    SchemaError,
)

EXIT_CODES = {
    "EmberlineError": 1,
    "ConfigError": 2,
    "DataError": 3,
    "SchemaError": 3,
    "ManifestError": 3,
    "EmptyDatasetError": 3,
    "GateError": 3,
    "NotServedError": 3,
    "StorageError": 1,
    "UnreachableError": 75,
    "LockedError": 75,
    "WorkerError": 1,
    "TrainingError": 4,
    "Preempted": 75,
}
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, EmberlineError)
]


def test_every_kind_has_the_exit_code_of_the_contract() -> None:
    assert {kind.__name__: kind.exit_code for kind in KINDS} == EXIT_CODES


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_crosses_a_process_border_with_its_message(kind: type[EmberlineError]) -> None:
    there = pickle.loads(pickle.dumps(kind("ratings: 8 parts expected, 7 found")))
    assert type(there) is kind
    assert str(there) == "ratings: 8 parts expected, 7 found"
    assert there.exit_code == EXIT_CODES[kind.__name__]


def test_bad_data_of_any_kind_is_a_data_error() -> None:
    assert {kind for kind in KINDS if issubclass(kind, DataError)} == {
        DataError,
        SchemaError,
        ManifestError,
        EmptyDatasetError,
        GateError,
        NotServedError,
    }


def test_the_drawing_at_the_top_shows_the_exit_codes() -> None:
    drawn = dict(re.findall(r"^    .*?(\w+) +(\d+)\b", errors.__doc__ or "", re.MULTILINE))
    assert drawn == {
        kind.__name__: str(EXIT_CODES[kind.__name__]) for kind in KINDS if "exit_code" in vars(kind)
    }
