"""How many rows are left out, and why: counted by outcome and reason, with an example of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

SHOWN = 120  # characters of a row's text
COUNTED = pa.schema(
    [
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("rows", pa.int64()),
        ("source_file", pa.string()),
        ("raw", pa.string()),
    ]
)


@dataclass(frozen=True)
class Reason:
    """So many rows have an outcome for a reason, the first of them, by file and text, being one of
    `source_file`, cut where it is longer than SHOWN.
    """

    outcome: str
    reason: str
    rows: int
    source_file: str
    raw: str

    @property
    def example(self) -> str:
        """The text as it is shown."""
        return self.raw if len(self.raw) <= SHOWN else self.raw[:SHOWN] + "..."


def count_reasons(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of source_file, raw, reason and maybe outcome, which else is `rejected`, to COUNTED;
    those without a reason do not count.
    """
    for batch in batches:
        rows = batch.filter(batch["reason"].is_valid())
        reasons = rows["reason"]
        outcomes = pa.repeat("rejected", len(rows))
        if "outcome" in rows.schema.names:
            outcomes = rows["outcome"]
        counted = pa.table([outcomes, reasons], ["outcome", "reason"])
        by_reason = counted.group_by(["outcome", "reason"]).aggregate([([], "count_all")])
        for found in by_reason.to_pylist():
            is_one = pc.and_(
                pc.equal(reasons, found["reason"]), pc.equal(outcomes, found["outcome"])
            )
            row = {name: found[name] for name in ("outcome", "reason")}
            row |= {"rows": found["count_all"]}
            row |= _example(rows.select(["source_file", "raw"]).filter(is_one))
            yield pa.RecordBatch.from_pylist([row], COUNTED)


def _example(rows: pa.RecordBatch) -> dict[str, str]:
    file = pc.min(rows["source_file"])
    texts = rows["raw"].filter(pc.equal(rows["source_file"], file))
    return {
        "source_file": file.as_py(),
        "raw": pc.min(pc.utf8_slice_codeunits(texts, 0, SHOWN + 1)).as_py(),
    }


def reasons_of(counted: pa.Table) -> list[Reason]:
    """Each outcome and reason once, of the parts' counts; frequent ones first."""
    found: dict[tuple[str, str], Reason] = {}
    for row in counted.to_pylist():
        new = Reason(**row)
        old = found.get((new.outcome, new.reason), new)
        file, raw = min((old.source_file, old.raw), (new.source_file, new.raw))
        rows = new.rows if old is new else old.rows + new.rows
        found[new.outcome, new.reason] = Reason(new.outcome, new.reason, rows, file, raw)
    return sorted(found.values(), key=lambda one: (-one.rows, one.reason))


def total_of(reasons: Iterable[Reason]) -> int:
    """How many rows there are."""
    return sum(one.rows for one in reasons)
