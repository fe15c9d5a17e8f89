"""The lineage of a page: which runs of which stages wrote the datasets that it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from emberline.datasets.manifest import Dataset


@dataclass(frozen=True)
class Source:
    """One dataset; `size` is its rows, or for an artifact its files."""

    name: str
    size: str
    stage: str
    run_id: str
    fingerprint: str


def sources(inputs: Mapping[str, Dataset]) -> list[Source]:
    """The datasets in the order in which the pipeline writes them."""
    return [_source(dataset) for dataset in inputs.values()]


def is_generated(inputs: Mapping[str, Dataset]) -> bool:
    """Whether a dataset was made from the generated shop."""
    return any("shop" in dataset.manifest.produced_by.inputs for dataset in inputs.values())


def _source(dataset: Dataset) -> Source:
    manifest = dataset.manifest
    files = len(manifest.parts)
    size = (
        f"{manifest.rows:,} rows"
        if manifest.kind == "table"
        else f"{files:,} file{'s' if files != 1 else ''}"
    )
    made = manifest.produced_by
    return Source(manifest.name, size, made.stage, made.run_id, made.fingerprint[:12])
