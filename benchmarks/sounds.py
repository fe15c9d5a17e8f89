"""Sounds a second: Emberline's stage prepare-sounds beside bare pools of processes.

- emberline is the whole stage, from listing the files to the committed dataset: headers judged,
  damage looked for, ids numbered, accounts, statistics and clips to be played included.
- bare pool reads and decodes by soundfile, resamples by soxr, cuts or fills up, and transforms by
  the same NumPy, one file after the other in a process per core, whose BLAS has one thread, and
  keeps nothing.
- librosa pool does the same by librosa's own load and melspectrogram, as people write it.

The recordings are the 3,000 of shared/data/spoken-digits at 8 kHz, linked under other names until
fixed costs do not decide, and become spectrograms of 64 x 63 at 16 kHz, as by the defaults. Files
are in the page cache.
"""

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

import harness
import numpy as np
import soundfile
import soxr
from data import REAL_DATA
from harness import CORES, Figures, Report, Subject
from threadpoolctl import threadpool_limits

from emberline import stages
from emberline.datasets.manifest import load
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.sections.sounds import SoundsConfig
from emberline.sounds.spectrogram import levels

RECORDINGS = REAL_DATA / "spoken-digits"
SETTINGS = SoundsConfig(path="")
_RUNS = count()
_CHUNK = 32  # files that a pool's process gets at once


@dataclass(frozen=True)
class Case:
    """Sound files below a folder."""

    folder: Path
    files: list[Path]


@contextmanager
def copied_recordings(copies: int) -> Iterator[Case]:
    """Every recording so many times, in folders of their own."""
    with TemporaryDirectory(prefix="emberline-bench-") as temporary:
        folder = Path(temporary) / "recordings"
        shutil.copytree(RECORDINGS, folder / "000", ignore=shutil.ignore_patterns("LICENSE*"))
        for copy in range(1, copies):
            shutil.copytree(folder / "000", folder / f"{copy:03d}", copy_function=os.link)
        yield Case(folder, sorted(folder.rglob("*.wav")))


def emberline(case: Case) -> Path:
    """The root of the dataset."""
    root = case.folder.parent / f"root-{next(_RUNS)}"
    sounds = {"path": str(case.folder), "labels": "folder"}
    config = Config.model_validate({"sounds": sounds, "spark": {"engine": "here"}})
    runner.run(config, root, stages.select(config, "prepare-sounds"))
    return root


def pool(case: Case, one: Callable[[Path], bool]) -> int:
    """How many sounds were transformed."""
    own = multiprocessing.get_context("fork").Pool(CORES, threadpool_limits, (1, "blas"))
    with own as processes:
        return sum(processes.imap_unordered(one, case.files, _CHUNK))


def bare(file: Path) -> bool:
    """Whether a file became a spectrogram."""
    samples, rate = soundfile.read(file, dtype="float32")
    if rate != SETTINGS.rate:
        samples = soxr.resample(samples, rate, SETTINGS.rate)
    whole = np.zeros(round(SETTINGS.rate * SETTINGS.seconds), np.float32)
    part = samples[: len(whole)]
    whole[: len(part)] = part
    return levels(whole[None], SETTINGS.mel).shape == (1, SETTINGS.bands, 63)


def by_librosa(file: Path) -> bool:
    """Whether a file became a spectrogram."""
    import librosa

    samples, rate = librosa.load(file, sr=SETTINGS.rate, duration=SETTINGS.seconds)
    whole = librosa.util.fix_length(samples, size=round(rate * SETTINGS.seconds))
    power = librosa.feature.melspectrogram(
        y=whole, sr=rate, n_fft=SETTINGS.window, hop_length=SETTINGS.hop, n_mels=SETTINGS.bands
    )
    found = librosa.power_to_db(power, ref=np.max, top_db=SETTINGS.decibels)
    return bool(found.shape == (SETTINGS.bands, 63))


def judge_dataset(case: Case, root: Path) -> Figures:
    """Raises AssertionError where a sound is missing."""
    rows = load(root, "sounds").rows
    assert rows == len(case.files), f"{rows} of {len(case.files)}"
    shutil.rmtree(root)
    return {}


def judge_count(case: Case, number: int) -> Figures:
    """Raises AssertionError where a sound is missing."""
    assert number == len(case.files), f"{number} of {len(case.files)}"
    return {}


def measure(report: Report, name: str, copies: int) -> None:
    """One case, whose files are only made if `--only` leaves it in."""
    if not report.wants(name):
        return
    with copied_recordings(copies) as case:
        judge = partial(judge_count, case)
        subjects = [
            Subject("emberline", partial(emberline, case), partial(judge_dataset, case)),
            Subject("bare pool", partial(pool, case, bare), judge),
            Subject("librosa pool", partial(pool, case, by_librosa), judge),
        ]
        row = report.compare(name, subjects)
        rates = {
            who: len(case.files) / figures["seconds"]
            for who, figures in ({"emberline": row} | row["peers"]).items()
        }
        row["sounds_per_second"] = rates
        said = ", ".join(f"{who} {rate:,.0f}" for who, rate in rates.items())
        report.console.print(f"sounds a second: {said}\n")


def main() -> None:
    options = harness.options(__doc__, with_spark=False)
    copies = (2,) if options.quick else (10, 40) if options.full else (10,)
    with harness.report(options) as report:
        measure(report.unseen(), "warm-up", 1)
        for number in copies:
            measure(report, f"{3_000 * number:,} recordings", number)


if __name__ == "__main__":
    main()
