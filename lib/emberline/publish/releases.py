"""Releases: the tables that a serving system reads, copied out of a pipeline's root, one set
replacing the other in one step; `datasets/released.py` says how they lie there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal, Self

from emberline import shipped
from emberline.datasets import lock, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.measures import Report, reports_of
from emberline.datasets.released import (
    CURRENT,
    ID,
    RELEASE,
    RELEASES,
    Measure,
    Release,
    Verdict,
    current,
    place_of,
    read,
)
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, DataError, GateError, ManifestError
from emberline.models import ITEM_INDEX, quantized
from emberline.publish import gates, indexing, parity, quantizing, trivial
from emberline.publish.gates import Gate
from emberline.publish.served import open_served
from emberline.runs.stage_run import new_run_id

_CHUNK = 4 << 20
Names = Mapping[str, str]


def publish(
    root: Location,
    folder: Location,
    tables: Sequence[str] = (),
    conditions: Sequence[Gate] = (),
    keep: int = 3,
    is_baseline: bool = False,
    with_defaults: bool = True,
    factors: Literal["float32", "int8"] = "float32",
    index_from: int = 1_000_000,
) -> tuple[Release, bool]:
    """Publish a root's tables, those named or all that are served, if every gate holds; `factors`
    by which lists are made as they are, or in fewer bytes, and with an index of items where there
    are `index_from` or more. Returns the release; whether it is new.

    Every part is hashed while it is copied. The current release stays until the new one is whole.
    `is_baseline` compares with no previous one; `with_defaults` also asks that no model that is
    served loses to a trivial answer. Raises GateError for a gate that does not hold, ManifestError
    for tables that do not belong together, LockedError while another publish works on the folder.
    """
    _check_apart(root, folder)
    contents = _Contents.of(root, tables, factors, index_from)
    with lock.hold(folder) as held:
        storage.refuse_links(folder, folder / RELEASES, folder / CURRENT)
        before = current(folder)
        if before is not None and before.datasets == contents.identities:
            _remove_old(folder, before, keep)  # as it would have, had it not been killed
            return before, False
        previous = before.measures if before and not is_baseline else None
        measures, asked, defaults = _judged(root, contents, conditions, previous, with_defaults)
        verdicts = [*asked, *defaults]
        _check_gates(verdicts, folder, before, {verdict.gate for verdict in defaults})
        release = _describe(root, before, contents, measures, verdicts)
        contents.copy_to(place_of(folder, release.release))
        held.check()
        _make_current(folder, release)
        _remove_old(folder, release, keep)
    return release, True


@dataclass(frozen=True)
class _Contents:
    """What a release has: tables of a root, what they are called there, and the one of which it has
    an index.
    """

    datasets: Sequence[Dataset]
    named: Names
    indexed: Dataset | None

    @classmethod
    def of(cls, root: Location, tables: Sequence[str], factors: str, index_from: int) -> Self:
        """Raises ManifestError for tables that do not belong together."""
        datasets = open_served(root, tables)
        _check_lineage(root, datasets)
        return cls(datasets, _named(datasets, factors), indexing.indexed(datasets, index_from))

    @property
    def identities(self) -> dict[str, dict[str, str]]:
        """By name."""
        found = {self.named[each.name]: each.manifest.identity() for each in self.datasets}
        if self.indexed is not None:
            found[ITEM_INDEX] = self.indexed.manifest.identity()
        return found

    @property
    def rows(self) -> dict[str, int]:
        """How many, by name."""
        return {self.named[each.name]: each.rows for each in self.datasets}

    def copy_to(self, place: Location) -> None:
        """Raises ManifestError where a part was altered."""
        _copy(self.datasets, self.named, place)
        if self.indexed is not None:
            manifests.commit(place, indexing.write(self.indexed, self.datasets, place))


def _named(datasets: Sequence[Dataset], factors: str) -> Names:
    """What a root's tables are called in a release."""
    names = [dataset.name for dataset in datasets]
    return {name: (quantized(name) if factors == "int8" else None) or name for name in names}


def _judged(
    root: Location,
    contents: _Contents,
    conditions: Sequence[Gate],
    previous: Mapping[str, Measure] | None,
    with_defaults: bool,
) -> tuple[dict[str, Measure], list[Verdict], list[Verdict]]:
    """What is measured, what the gates that were asked for find, and what those by default do."""
    datasets = contents.datasets
    reports, model, rows = _reports(root), _model(datasets), _rows(datasets)
    measures = gates.measures(reports, rows) | parity.measures(datasets)
    asked = gates.judge(conditions, measures, previous, model)
    defaults = trivial.verdicts(reports, set(rows), model) if with_defaults else []
    return measures, [*asked, *parity.verdicts(datasets)], defaults


def rollback(folder: Location) -> Release:
    """Make the release before the current one current again, if it is whole. Raises DataError
    where there is none.
    """
    if current(folder) is None:
        raise DataError(f"{folder} has no {CURRENT}: nothing was published there")
    with lock.hold(folder):
        storage.refuse_links(folder, folder / RELEASES, folder / CURRENT)
        now = current(folder)
        if now is None or now.previous is None:
            raise DataError(f"the current release in {folder} has none before it to go back to")
        place = place_of(folder, now.previous)
        if not (place / RELEASE).is_file():
            raise DataError(
                f"release {now.previous} is not in {folder} any more; publish with a larger --keep"
            )
        release = read(place / RELEASE)
        for name in release.datasets:
            manifests.load(place, name)
        _write(folder / CURRENT, release)
    return release


def _check_apart(root: Location, folder: Location) -> None:
    """Raises ConfigError for a folder in the root: who reads the root would be led to the
    release.
    """
    if PurePosixPath(str(folder)).is_relative_to(PurePosixPath(str(root))):
        raise ConfigError(f"{folder} is in the pipeline's own root; publish to a folder elsewhere")


def _check_lineage(root: Location, datasets: Sequence[Dataset]) -> None:
    """Raises ManifestError where a table, or the metrics, were made of something else than what
    is in the root now.
    """
    manifests.check_same_run(datasets)
    judged = [manifests.load(root, "metrics")] if manifests.exists(root, "metrics") else []
    waiting, seen = [*datasets, *judged], {dataset.name for dataset in (*datasets, *judged)}
    while waiting:
        dataset = waiting.pop()
        for name, identity in dataset.manifest.produced_by.inputs.items():
            if not manifests.exists(root, name):
                continue
            source = manifests.load(root, name)
            if source.manifest.identity() != identity:
                raise ManifestError(
                    f"{dataset.name} in {root} was made of {name} of run {identity['run_id']},"
                    " which has been replaced since; run the whole pipeline before publishing"
                )
            if name not in seen:
                seen.add(name)
                waiting.append(source)


def _rows(datasets: Sequence[Dataset]) -> dict[str, int]:
    return {dataset.name: dataset.rows for dataset in datasets}


def _reports(root: Location) -> dict[str, Report]:
    return reports_of(manifests.load(root, "metrics")) if manifests.exists(root, "metrics") else {}


def _model(datasets: Sequence[Dataset]) -> str | None:
    """What made the published recommendations."""
    configs = {dataset.name: dataset.manifest.produced_by.config for dataset in datasets}
    model = configs.get("recommendations", {}).get("model")
    return model if isinstance(model, str) else None


def _check_gates(
    verdicts: Sequence[Verdict], folder: Location, before: Release | None, defaults: Set[str]
) -> None:
    failed = [
        f"{verdict.gate}:"
        f" {verdict.reason or f'found {verdict.value:.6g}, the limit is {verdict.limit:.6g}'}"
        for verdict in verdicts
        if not verdict.holds
    ]
    if failed:
        stays = f"release {before.release} stays" if before else "nothing is published there"
        by_default = any(verdict.gate in defaults for verdict in verdicts if not verdict.holds)
        hint = (
            f"; {shipped.page('lists.md')} says what helps a model that loses to a trivial answer, "
            "--no-default-gates publishes it all the same"
        )
        raise GateError(
            f"not published to {folder}, {stays}; {'; '.join(failed)}{hint if by_default else ''}"
        )


def _describe(
    root: Location,
    before: Release | None,
    contents: _Contents,
    measures: dict[str, Measure],
    verdicts: list[Verdict],
) -> Release:
    return Release(
        release=new_run_id(),
        previous=before.release if before else None,
        published=datetime.now(UTC).isoformat(timespec="seconds"),
        source=str(root),
        datasets=contents.identities,
        rows=contents.rows,
        measures=measures,
        gates=verdicts,
    )


def _copy(datasets: Sequence[Dataset], named: Names, place: Location) -> None:
    for dataset in datasets:
        if named[dataset.name] != dataset.name:
            manifests.commit(place, quantizing.write(dataset, place))
            continue
        for part, source in zip(dataset.manifest.parts, dataset.paths, strict=True):
            if _copy_part(source, storage.inside(place / dataset.name, part.path)) != part.sha256:
                stage = dataset.manifest.produced_by.stage
                raise ManifestError(
                    f"{source} was altered: its sha256 is not the manifest's; rerun {stage} with"
                    " --force"
                )
        manifests.commit(place, dataset.manifest)


def _copy_part(source: Location, target: Location) -> str:
    """Copy a file; returns the sha256 of what was copied."""
    digest = hashlib.sha256()
    storage.make_folder(target.parent)
    with storage.open_input(source) as read, storage.create(target) as written:
        while chunk := read.read(_CHUNK):
            digest.update(chunk)
            written.write(chunk)
        storage.sync_file(written)
    return digest.hexdigest()


def _make_current(folder: Location, release: Release) -> None:
    place = place_of(folder, release.release)
    _write(place / RELEASE, release)
    storage.sync_folder(place.parent)
    storage.sync_folder(folder)
    _write(folder / CURRENT, release)


def _remove_old(folder: Location, release: Release, keep: int) -> None:
    """Remove all but the newest `keep` releases, and what killed publishes left: the lock is
    held, so nobody is at work there.
    """
    kept = {release.release, *_ancestors(folder, release, keep - 1)}
    for place in storage.children(folder / RELEASES):
        if ID.fullmatch(place.name) and place.name not in kept:
            storage.remove_folder(place)


def _ancestors(folder: Location, release: Release, count: int) -> Iterator[str]:
    """The releases before this one, the last first."""
    while (
        count > 0
        and release.previous is not None
        and (place_of(folder, release.previous) / RELEASE).is_file()
    ):
        yield release.previous
        release = read(place_of(folder, release.previous) / RELEASE)
        count -= 1


def _write(path: Location, release: Release) -> None:
    storage.replace_file(path, json.dumps(asdict(release), indent=1).encode())
