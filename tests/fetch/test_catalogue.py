"""The catalogue: against the real files where they are, and against the pipelines that read
them.
"""

import hashlib
import re
import shlex
from pathlib import Path

import pytest

from emberline import pipelines
from emberline.errors import ConfigError
from emberline.fetch.catalogue import SOURCES, Source, find

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_an_entry_is_consistent(source: Source) -> None:
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in source.files)
    assert sum(size or 0 for size in source.holds.values()) <= source.unpacked < 2**30
    assert all(re.match("https?://", url) for url in (source.base, source.licence.url))
    assert len(source.files) == 1 or source.top is None


def test_movielens_is_the_real_one(shared_data: Path) -> None:
    real = {
        path.name: path.stat().st_size
        for path in (shared_data / "movielens-latest-small").iterdir()
    }
    source = find("movielens-latest-small")
    assert source.holds == real
    assert sum(real.values()) <= source.unpacked


def test_fashion_mnist_is_the_real_one(shared_data: Path) -> None:
    """The md5 are those in the publisher's README."""
    md5 = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
    source = find("fashion-mnist")
    assert {file.name: file.bytes for file in source.files} == source.holds
    for file in source.files:
        content = (shared_data / "fashion-mnist" / file.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
        assert hashlib.md5(content).hexdigest() == md5[file.name]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
@pytest.mark.parametrize("to", ["data", "/some where/else"])
def test_the_command_at_the_end_is_one_that_reads_the_dataset(
    source: Source, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    folder = Path(to) / source.folder
    _, _, pipeline, *options = shlex.split(source.usage.command(folder))
    pairs = list(zip(options[::2], options[1::2], strict=True))
    assert {option for option, _ in pairs} <= {"--root", "--set"}
    config = pipelines.load(Path(pipeline), [text for option, text in pairs if option == "--set"])
    section = config.ratings or config.images
    assert section is not None
    read = Path(section.path).absolute()
    assert read in (folder.absolute(), *(folder.absolute() / name for name in source.holds))


def test_a_dataset_that_the_pipeline_reads_by_itself_needs_no_settings() -> None:
    commands = {
        source.name: source.usage.command(Path("data") / source.folder) for source in SOURCES
    }
    assert commands["movielens-latest-small"] == "emberline run movielens"
    assert commands["cifar10"] == "emberline run cifar10"
    assert commands["fashion-mnist"] == "emberline run fashion-mnist"
    assert commands["movielens-32m"].endswith(
        "--root runs/movielens-32m --set ratings.path=data/movielens-32m/ratings.csv"
    )


def test_a_name_that_is_not_known_is_told_with_those_that_are() -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"no dataset 'cifar' is known here \(did you mean cifar10\?\); known: movielens-latest"
        ),
    ):
        find("cifar")
