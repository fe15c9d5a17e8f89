"""The winner beside the defaults, on the users (and items) that both were measured on."""

from emberline.comparing.comparison import Comparison
from emberline.comparing.run import Run
from emberline.runs.roots import Roots
from emberline.tuning.aim import Aim
from emberline.tuning.outcome import Difference


def difference(defaults: Roots, winner: Roots, aim: Aim) -> Difference | None:
    """Of the aim's metric, the winner's less that of the defaults; None where it has no interval,
    such as with a single user, or where the metric is a mean of nothing.
    """
    found = Comparison.of(Run.of(defaults), Run.of(winner), only=aim.report)
    for pair in found.pairs:
        compared = pair.compared
        if (pair.now.model, pair.now.metric) == (aim.model, aim.metric) and compared:
            return Difference.of(compared.difference, compared.interval)
    return None
