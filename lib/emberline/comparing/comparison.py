"""All that there is to say of two runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from emberline.comparing import changes, paired
from emberline.comparing.changes import Change
from emberline.comparing.paired import Pair
from emberline.comparing.run import Run

REPLICATES = 1000


@dataclass(frozen=True)
class Comparison:
    """Two runs, the reports that both have, every metric then and now, and the settings that
    differ.
    """

    before: Run
    now: Run
    reports: Sequence[str]
    pairs: Sequence[Pair]
    settings: Sequence[Change]

    @classmethod
    def of(cls, before: Run, now: Run, only: str | None = None) -> "Comparison":
        """Of all reports, or of one. Raises DataError where they cannot be compared."""
        reports = changes.comparable(before, now, only)
        pairs = paired.pairs(before, now, reports, REPLICATES)
        return cls(before, now, reports, pairs, changes.changed_settings(before, now))

    @property
    def is_other_code(self) -> bool:
        """Whether another version of the package has run a stage."""
        return changes.is_other_code(self.before, self.now)

    def of_report(self, name: str) -> list[Pair]:
        """The metrics of one report."""
        return [pair for pair in self.pairs if pair.report == name]

    def shared_data(self, name: str) -> float:
        """Which share of the smaller data of a report is in the larger."""
        return changes.shared_data(self.before.reports[name], self.now.reports[name])
