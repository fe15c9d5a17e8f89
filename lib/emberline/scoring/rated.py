"""What ratings are predicted from: those in training, less what biases explain, and models'
tables.
"""

from collections.abc import Callable, Mapping
from functools import partial

from emberline.cf import biases as cf_biases
from emberline.cf.scoring import PREDICTED
from emberline.datasets.manifest import ProducedBy
from emberline.flow.rows import Flow, Rows, Shared, Source
from emberline.scoring.biases import Residuals, biases_of
from emberline.scoring.deviations import Side, deviations
from emberline.sections.cosine import CosineConfig


class Rated:
    """Tables by name, `ratings` in training among them, and what is computed of these once.

    `produced_by` says which run has produced a table.
    """

    def __init__(
        self, flow: Flow, tables: Mapping[str, Source], produced_by: Callable[[str], ProducedBy]
    ) -> None:
        self.tables = tables
        self._flow, self._produced_by = flow, produced_by
        self._biases: dict[float, Shared] = {}

    def biases(self, damping: float) -> Shared:
        """What is expected of a user and an item, damped by so many ratings."""
        if damping not in self._biases:
            found = biases_of(self._flow, self.tables["ratings"], damping)
            self._biases[damping] = self._flow.share(found)
        return self._biases[damping]

    def by_neighbors(self, pairs: Source, table: str, side: Side) -> Rows:
        """PREDICTED, by the settings that the table of neighbours has."""
        config = CosineConfig.model_validate(self._produced_by(table).config)
        biases = self.biases(config.ratings.damping)
        residuals = Residuals(self.tables["ratings"], biases)
        found = deviations(self._flow, pairs, residuals, side, config)
        return found.map(partial(cf_biases.predictions, biases=biases), PREDICTED)
