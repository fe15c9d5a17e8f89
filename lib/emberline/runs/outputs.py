"""What a run of a stage writes: where its parts go, and what it says of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from emberline.datasets import manifest as manifests
from emberline.datasets.facts import merged
from emberline.datasets.footers import check_footers
from emberline.datasets.info import Facts
from emberline.datasets.kept_back import TooFewUsers
from emberline.datasets.manifest import Dataset, Kind, Manifest, Part, ProducedBy
from emberline.datasets.prune import WORK
from emberline.datasets.schema import TABLES, fields_of
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError, ManifestError
from emberline.runs.roots import Roots

TOO_FEW = "_too_few_users"  # how a status calls what was left out of a dataset, after its name


@dataclass(frozen=True)
class Outputs:
    """The outputs that a stage has `promised`, by name; those that it has added are in
    `manifests`, and are datasets once the stage's function has returned.

    `metrics` is what the run's status says; `continued` are earlier outputs that this run goes on
    from, which are recorded as lineage.
    """

    roots: Roots
    promised: Sequence[str]
    produced_by: ProducedBy
    manifests: dict[str, Manifest] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    continued: dict[str, dict[str, str]] = field(default_factory=dict)
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    @property
    def root(self) -> Location:
        return self.roots.root

    @property
    def work(self) -> Location:
        """A folder that survives a killed attempt at the same fingerprint, and is removed after
        the commit.
        """
        by = self.produced_by
        return self.root / WORK / by.stage / by.fingerprint[:16]

    @property
    def scratch(self) -> Location:
        """A folder that is removed when the run ends, well or not."""
        return self.work / self.produced_by.run_id

    def folder(self, name: str) -> Location:
        """Where this run writes the parts of its output `name`."""
        by = self.produced_by
        return self.root / name / manifests.run_folder(by.fingerprint, by.run_id)

    def add(
        self,
        name: str,
        parts: Sequence[Part],
        *facts: Facts,
        rank: int | None = None,
        seed: int | None = None,
    ) -> None:
        """Announce the finished parts of an output, with the stage's own facts of it."""
        schema = TABLES.get(name)
        kind: Kind = "artifact" if schema is None else "table"
        fields = fields_of(schema) if schema is not None else []
        rows = sum(part.rows for part in parts)
        by = replace(self.produced_by, previous=self.continued)
        info = merged(facts)
        self._tell(name, facts)
        self.manifests[name] = Manifest(name, kind, fields, rows, list(parts), by, rank, seed, info)

    def take(self, written: Mapping[str, Manifest]) -> None:
        """Take over what another process has added for this run."""
        self.manifests.update(written)

    def finish(self, name: str, *facts: Facts) -> None:
        """Give facts of an output that are known only when it is written, each of them once."""
        manifest, info = self.manifests[name], merged(facts)
        repeated = sorted(manifest.info.keys() & info.keys())
        assert not repeated, f"{name}: {', '.join(repeated)} was already given"
        self._tell(name, facts)
        self.manifests[name] = replace(manifest, info={**manifest.info, **info})

    def _tell(self, name: str, facts: Sequence[Facts]) -> None:
        """Have the status say, too, what was left out of an output."""
        for told in facts:
            if isinstance(told, TooFewUsers):
                self.measure(**{f"{name}{TOO_FEW}": told.to_json()})

    def measure(self, **metrics: Any) -> None:
        """Give what the run's status says of it."""
        self.metrics.update(metrics)

    def rows(self, name: str) -> int:
        """Of an output that this run has added."""
        return self.manifests[name].rows

    def written(self, name: str) -> Dataset:
        """An output that this run has added, before it is committed, for reading it again."""
        return Dataset(self.root / name, self.manifests[name])

    def previous(self, name: str) -> Dataset | None:
        """The output `name` as committed by an earlier run that this one continues, here or in
        the base, recorded as lineage; None at first.

        Raises ManifestError where it is damaged: to start anew is for people to decide, since what
        builds on it would not fit.
        """
        try:
            dataset = self.roots.load(name)
            if dataset is None:
                return None
            check_footers(dataset)
        except EmberlineError as error:
            raise self.cannot_continue(name, str(error)) from error
        self.continues(name, dataset)
        return dataset

    def continues(self, name: str, dataset: Dataset) -> None:
        """Record as lineage that this run goes on from a dataset."""
        self.continued[name] = dataset.manifest.identity()

    def cannot_continue(self, name: str, why: str) -> ManifestError:
        """What to say of an earlier output that is damaged."""
        place = self.roots.place_of(name) or self.root
        return ManifestError(
            f"{self.produced_by.stage} continues {name}, which is damaged ({why}). Restore"
            f" {place / name} from a backup; or, to start anew, remove"
            f" {', '.join(self.promised)} from {place} and run everything again"
        )
