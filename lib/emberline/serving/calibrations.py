"""What makes scores of new items compare with those of rated ones, as manifests say it."""

import numpy as np

from emberline.cf.content.calibration import Calibration
from emberline.datasets.facts import Calibrated
from emberline.datasets.manifest import Manifest


def calibration_of(predicted: Manifest) -> Calibration | None:
    """As the manifest of predicted factors says it; None where it does not."""
    facts = predicted.facts(Calibrated)
    if facts.score_line is None or facts.score_centre is None:
        return None
    slope, offset, steepness = facts.score_line
    return Calibration(slope, offset, steepness, np.array(facts.score_centre, np.float32))
