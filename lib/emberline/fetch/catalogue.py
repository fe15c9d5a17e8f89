"""The public datasets that can be fetched: where they are published, under which licence, and
what they consist of.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from emberline.errors import ConfigError


@dataclass(frozen=True)
class Licence:
    """What may be done with the data: the licence's name, its terms in a sentence, where it is
    written, what to cite.
    """

    name: str
    terms: str
    url: str
    citation: str


@dataclass(frozen=True)
class PublishedFile:
    """One file as its publisher serves it: its name below the base URL, its size in bytes, and
    its sha256.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Usage:
    """How a shipped pipeline reads the data: its name, the setting of the path, and the path it
    reads if told nothing else.

    `path` is relative to the dataset's folder; `options` are what else the command needs for this
    dataset.
    """

    pipeline: str
    setting: str
    default: str
    path: str = ""
    options: tuple[str, ...] = ()

    def command(self, folder: Path) -> str:
        """The command that runs the pipeline on the dataset in `folder`."""
        path = str(folder / self.path)
        chosen = () if path == self.default else ("--set", _quoted(f"{self.setting}={path}"))
        return " ".join(("emberline run", self.pipeline, *self.options, *chosen))


@dataclass(frozen=True)
class Source:
    """One dataset: its published files, the folder it becomes, and the files which that then holds,
    with their bytes.

    None stands for a size that is not known. With `top`, the one published file is an archive,
    whose folder of that name becomes the dataset's. Without, the files are the dataset. It takes at
    most `unpacked` bytes.
    """

    name: str
    folder: str
    base: str
    files: tuple[PublishedFile, ...]
    licence: Licence
    usage: Usage
    holds: Mapping[str, int | None]
    unpacked: int
    top: str | None = None


def _quoted(text: str) -> str:
    return f"'{text}'" if any(c.isspace() or c in "'\"$&;()<>|*?[]{}`\\" for c in text) else text


_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_HARPER = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context."
    " ACM Transactions on Interactive Intelligent Systems 5, 4: 19:1-19:19."
    " https://doi.org/10.1145/2827872"
)
_MOVIELENS = ("movielens", "ratings.path", "data/movielens/ratings.csv")


def _grouplens(readme: str, sharing: str) -> Licence:
    terms = (
        "For research; not for commercial use without permission; do not claim endorsement; cite"
        f" it in publications; {sharing}."
    )
    return Licence("MovieLens usage licence", terms, f"{_GROUPLENS}/{readme}", _HARPER)


_SHARE_ALIKE = "redistribute it only under the same conditions"

# All checksums are pinned here, so that neither a publisher's server nor a mirror has to be
# trusted. Where they come from:
# - ml-latest-small.zip, ml-1m.zip, cifar-10-binary.tar.gz: the checksum files of TensorFlow
# Datasets. The publishers' own md5 of
# the latter two are c4d9eecfca2ab87c1945afe126590906 and c32a1d4ab5d03f1284b67883e8d87530.
# GroupLens may replace   ml-latest-small.zip, which is a development dataset: this is the one of
# September 2018.
# - ml-32m.zip: the public records of several projects agree; its publisher's md5 is
# d472be332d4daa821edc399621853b57. - Fashion-MNIST: computed from files whose md5 are those in the
# publisher's README.
SOURCES = (
    Source(
        name="movielens-latest-small",
        folder="movielens",
        base=_GROUPLENS,
        files=(
            PublishedFile(
                "ml-latest-small.zip",
                978_202,
                "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
            ),
        ),
        licence=_grouplens("ml-latest-small-README.html", _SHARE_ALIKE),
        usage=Usage(*_MOVIELENS, path="ratings.csv"),
        holds={
            "README.txt": 8_342,
            "links.csv": 197_979,
            "movies.csv": 494_431,
            "ratings.csv": 2_483_723,
            "tags.csv": 118_660,
        },
        top="ml-latest-small",
        unpacked=3_400_000,
    ),
    Source(
        name="movielens-1m",
        folder="movielens-1m",
        base=_GROUPLENS,
        files=(
            PublishedFile(
                "ml-1m.zip",
                5_917_549,
                "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
            ),
        ),
        licence=_grouplens(
            "ml-1m-README.txt",
            "send the publisher a copy of those; do not redistribute it without permission",
        ),
        usage=Usage(
            *_MOVIELENS,
            path="ratings.dat",
            options=(
                (
                    "--root runs/movielens-1m --set ratings.format=csv --set ratings.separator=::"
                    " --set ratings.header=false"
                ),
                "--set ratings.columns.user_id=1 --set ratings.columns.item_id=2",
                "--set ratings.columns.value=3 --set ratings.columns.timestamp=4",
            ),
        ),
        holds={
            "README": 5_577,
            "movies.dat": 171_308,
            "ratings.dat": 24_594_131,
            "users.dat": 134_368,
        },
        top="ml-1m",
        unpacked=25_000_000,
    ),
    Source(
        name="movielens-32m",
        folder="movielens-32m",
        base=_GROUPLENS,
        files=(
            PublishedFile(
                "ml-32m.zip",
                238_950_008,
                "e4a68655d7386b8f95f2f2424b2ff975dfdd15ffd59e0d864a14dca43e99d6ee",
            ),
        ),
        licence=_grouplens("ml-32m-README.html", _SHARE_ALIKE),
        usage=Usage(*_MOVIELENS, path="ratings.csv", options=("--root runs/movielens-32m",)),
        holds={
            "README.txt": None,
            "links.csv": 1_950_748,
            "movies.csv": 4_242_926,
            "ratings.csv": 877_076_222,
            "tags.csv": 72_353_890,
        },
        top="ml-32m",
        unpacked=960_000_000,
    ),
    Source(
        name="cifar10",
        folder="cifar10",
        base="https://www.cs.toronto.edu/~kriz",
        files=(
            PublishedFile(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
        licence=Licence(
            "none stated",
            "The publisher states no licence, and asks users to cite the report; the pictures were"
            " collected from the web.",
            "https://www.cs.toronto.edu/~kriz/cifar.html",
            "Alex Krizhevsky. 2009. Learning Multiple Layers of Features from Tiny Images."
            " University of Toronto.",
        ),
        usage=Usage("cifar10", "images.path", "data/cifar10"),
        holds={
            "batches.meta.txt": None,
            # 10,000 records of 3,073 bytes
            **{f"data_batch_{number}.bin": 30_730_000 for number in range(1, 6)},
            "test_batch.bin": 30_730_000,
        },
        top="cifar-10-batches-bin",
        unpacked=185_000_000,
    ),
    Source(
        name="fashion-mnist",
        folder="fashion-mnist",
        base="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        files=(
            PublishedFile(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            PublishedFile(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
            PublishedFile(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            PublishedFile(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
        licence=Licence(
            "MIT",
            "Use, change and redistribute it freely; keep the copyright notice (2017 Zalando SE).",
            "https://github.com/zalandoresearch/fashion-mnist/blob/master/LICENSE",
            "Han Xiao, Kashif Rasul and Roland Vollgraf. 2017. Fashion-MNIST: a Novel Image Dataset"
            " for Benchmarking Machine Learning Algorithms. arXiv:1708.07747",
        ),
        usage=Usage("fashion-mnist", "images.path", "data/fashion-mnist"),
        holds={
            "train-images-idx3-ubyte.gz": 26_421_880,
            "train-labels-idx1-ubyte.gz": 29_515,
            "t10k-images-idx3-ubyte.gz": 4_422_102,
            "t10k-labels-idx1-ubyte.gz": 5_148,
        },
        unpacked=31_000_000,
    ),
)
NAMES = tuple(source.name for source in SOURCES)


def find(name: str) -> Source:
    """The dataset of that name. Raises ConfigError for one that is not known."""
    for source in SOURCES:
        if source.name == name:
            return source
    close = difflib.get_close_matches(name, NAMES, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise ConfigError(f"no dataset {name!r} is known here{hint}; known: {', '.join(NAMES)}")
