"""Pictures a second: Emberline's stage prepare-images, Pillow in one process and in several, and
the bare decoder in several.

- emberline is the whole stage on this machine's cores, from listing the files to the committed
  dataset, accounts and channel statistics included; so are its processes, where it starts some.
- on Spark it is the same stage there; only Spark's start is not included.
- pillow reads, decodes (at JPEG's reduced scales, like us) and resizes in this process, and keeps
  nothing.
- pillow pool does the same in a process per core.
- decoder pool reads, decodes by simplejpeg at the same scales and resizes by Pillow in a process
  per core, looking at nothing
  else: no EXIF, no odd modes, no damage, no ids, no output. Nobody can be faster than that.

The photos are the 298 of shared/data/flower-photos, linked under other names until Spark's fixed
costs, some seconds a run, do not decide: --full has 119,200 of them. Files are in the page cache.
Of the pools' memory, workers_mib is theirs; the others hold Spark's idle JVM too.
"""

import io
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import harness
import numpy as np
import numpy.typing as npt
from data import REAL_DATA
from harness import CORES, Figures, Report, Subject
from PIL import Image, ImageOps
from simplejpeg import decode_jpeg

from emberline import stages
from emberline.datasets.manifest import load
from emberline.runs import runner
from emberline.sections.config import Config

Pixels = npt.NDArray[np.uint8]
Decoder = Callable[[Path, int], Pixels]  # of a file, to so many pixels a side

PHOTOS = REAL_DATA / "flower-photos"
_RUNS = count()
_CHUNK = 32  # files that a pool's process gets at once


@dataclass(frozen=True)
class Case:
    """Picture files below a folder, and the side in pixels of the squares that they become."""

    folder: Path
    files: list[Path]
    side: int
    settings: dict[str, Any]


@contextmanager
def copied_photos(copies: int, side: int) -> Iterator[Case]:
    """Every photo so many times, in folders of their own."""
    with TemporaryDirectory(prefix="emberline-bench-") as temporary:
        folder = Path(temporary) / "photos"
        shutil.copytree(PHOTOS, folder / "000", ignore=shutil.ignore_patterns("LICENSE*"))
        for copy in range(1, copies):
            shutil.copytree(folder / "000", folder / f"{copy:03d}", copy_function=os.link)
        yield Case(folder, sorted(folder.rglob("*.jpg")), side, {"labels": "folder"})


@contextmanager
def small_files(number: int, side: int) -> Iterator[Case]:
    """Noise of 32 x 32 pixels, one JPEG file each, a thousand to a folder."""
    rng = np.random.default_rng(1)
    with TemporaryDirectory(prefix="emberline-bench-") as temporary:
        folder = Path(temporary) / "small"
        files = [folder / f"{at // 1000:03d}" / f"{at:06d}.jpg" for at in range(number)]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file)
        yield Case(folder, files, side, {"labels": "folder"})


# --------------------------------------------------------------------------------------------------
# subjects


def emberline(case: Case, engine: str) -> Path:
    """The root of the dataset."""
    root = case.folder.parent / f"root-{next(_RUNS)}"
    images = {"path": str(case.folder), "height": case.side, "width": case.side} | case.settings
    config = Config.model_validate({"images": images, "spark": {"engine": engine}})
    runner.run(config, root, stages.select(config, "prepare-images"))
    return root


def one_process(case: Case, one: Decoder) -> int:
    """How many pictures were decoded."""
    return sum(map(partial(decoded, one=one, side=case.side), case.files))


def pool(case: Case, one: Decoder) -> int:
    """How many pictures were decoded."""
    with multiprocessing.get_context("fork").Pool(CORES) as processes:
        return sum(
            processes.imap_unordered(partial(decoded, one=one, side=case.side), case.files, _CHUNK)
        )


def decoded(file: Path, one: Decoder, side: int) -> int:
    return int(one(file, side).shape == (side, side, 3))


def by_pillow(file: Path, side: int) -> Pixels:
    with Image.open(io.BytesIO(file.read_bytes())) as picture:
        picture.draft("RGB", (2 * side, 2 * side))
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    return np.asarray(ImageOps.fit(upright, (side, side), Image.Resampling.BICUBIC))


def by_decoder(file: Path, side: int) -> Pixels:
    pixels = decode_jpeg(file.read_bytes(), min_height=2 * side, min_width=2 * side)
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), (side, side), Image.Resampling.BICUBIC))


def judge_dataset(case: Case, root: Path) -> Figures:
    """Raises AssertionError where a picture is missing."""
    rows = load(root, "images").rows
    assert rows == len(case.files), f"{rows} of {len(case.files)}"
    shutil.rmtree(root)
    return {}


def judge_count(case: Case, number: int) -> Figures:
    """Raises AssertionError where a picture is missing."""
    assert number == len(case.files), f"{number} of {len(case.files)}"
    return {}


# --------------------------------------------------------------------------------------------------
# cases


def measure(report: Report, name: str, made: Callable[[], Any]) -> None:
    """One case, whose files are only made if `--only` leaves it in."""
    if not report.wants(name):
        return
    with made() as case:
        judge = partial(judge_count, case)
        subjects = [
            Subject("emberline", partial(emberline, case, "here"), partial(judge_dataset, case)),
            Subject("on Spark", partial(emberline, case, "spark"), partial(judge_dataset, case)),
            Subject("pillow", partial(one_process, case, by_pillow), judge, uses_spark=False),
            Subject("pillow pool", partial(pool, case, by_pillow), judge),
            Subject("decoder pool", partial(pool, case, by_decoder), judge),
        ]
        row = report.compare(name, subjects)
        rates = {
            who: len(case.files) / figures["seconds"]
            for who, figures in ({"emberline": row} | row["peers"]).items()
        }
        row["pictures_per_second"] = rates
        report.console.print(
            "pictures a second: "
            + ", ".join(f"{who} {rate:,.0f}" for who, rate in rates.items())
            + "\n"
        )


def main() -> None:
    options = harness.options(__doc__)
    copies, sides, small = (
        ((10,), (32,), 2_000) if options.quick else ((10, 40), (32, 64, 128), 20_000)
    )
    if options.full:
        copies += (400,)
    with harness.spark(options), harness.report(options) as report:
        measure(report.unseen(), "warm-up", partial(copied_photos, 1, 32))
        for side in sides:
            for number in copies:
                measure(
                    report,
                    f"{298 * number:,} photos to {side}x{side}",
                    partial(copied_photos, number, side),
                )
            sizes = [
                (298 * number, f"{298 * number:,} photos to {side}x{side}") for number in copies
            ]
            report.growth(f"photos to {side}x{side}", sizes)
        number = 100_000 if options.full else small
        measure(report, f"{number:,} small files to 32x32", partial(small_files, number, 32))


if __name__ == "__main__":
    main()
