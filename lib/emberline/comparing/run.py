"""One of two runs that are compared: what it measured, and what made its datasets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from emberline.datasets import manifest as manifests
from emberline.datasets import rows
from emberline.datasets.manifest import Dataset, ProducedBy
from emberline.datasets.measures import Report, reports_of
from emberline.datasets.schema import TABLES
from emberline.errors import ConfigError, ManifestError
from emberline.runs.roots import Roots

MEASURES = {"user": "user_measures", "item": "item_measures"}
_ALSO = {"item": ("images", "sounds")}


@dataclass(frozen=True)
class Run:
    """A root (and its base), the reports of its last evaluation, and the tables they are made from,
    by side: user, item.
    """

    roots: Roots
    metrics: Dataset
    reports: Mapping[str, Report]
    measures: Mapping[str, Dataset]

    @classmethod
    def of(cls, roots: Roots) -> "Run":
        """Raises ConfigError for a root that is not there, ManifestError for one without metrics,
        or whose tables of measures are not those that they are made from.
        """
        roots.check()
        if not roots.root.is_dir():
            raise ConfigError(
                f"the root {roots.root} is not there; name a folder such as runs/demo"
            )
        metrics = roots.load("metrics")
        if metrics is None:
            raise ManifestError(
                f"{roots} has no metrics; add [evaluate] to the pipeline file, and run it"
            )
        measures = {side: _of_the_same_run(roots, metrics, name) for side, name in MEASURES.items()}
        return cls(roots, metrics, reports_of(metrics), measures)

    def ids(self, side: str) -> pa.Array:
        """The outside id of each index of users, or items, null where there is none; of a pipeline
        of pictures alone, theirs. Raises ManifestError where nothing has them.
        """
        tables = (self.roots.load(name) for name in (f"{side}s", *_ALSO.get(side, ())))
        table = next((found for found in tables if found), None)
        if table is None:
            raise ManifestError(
                f"{self.roots} has no {side}s, by whose ids runs are compared; a base that has"
                " them is given by --base"
            )
        names = [side, f"{side}_id"]
        schema = pa.schema([TABLES[table.name].field(name) for name in names])
        found = pa.Table.from_batches(list(rows.batches(table, names)), schema)
        index = found[side].to_numpy()
        places = np.full(int(index.max(initial=-1)) + 1, -1, np.int64)
        places[index] = np.arange(len(index))
        own = pa.array(places, mask=places < 0)
        return found[f"{side}_id"].combine_chunks().take(own)

    def made_by(self) -> dict[str, ProducedBy]:
        """By stage, the run of it that wrote what is there."""
        return dict(self._made_by())

    def _made_by(self) -> Iterator[tuple[str, ProducedBy]]:
        for place in reversed(self.roots.places):  # what the root has hides what the base has
            for name in manifests.names(place):
                by = manifests.load(place, name).manifest.produced_by
                yield by.stage, by


def _of_the_same_run(roots: Roots, metrics: Dataset, name: str) -> Dataset:
    found, by = roots.load(name), metrics.manifest.produced_by
    if found is None or found.manifest.produced_by.run_id != by.run_id:
        raise ManifestError(
            f"{roots} has no {name} of the run of {by.stage} that its metrics are of: run"
            f" {by.stage} again, with --force"
        )
    return found
