"""What makes scores of new items compare with those of rated ones: told, and used for lists."""

from emberline.cf.content.calibration import Calibration
from emberline.datasets.facts import Calibrated
from emberline.models import CONTENT
from emberline.runs.inputs import Inputs
from emberline.serving.calibrations import calibration_of


def told(calibration: Calibration | None) -> Calibrated:
    """What the manifest of predicted factors says."""
    if calibration is None:
        return Calibrated()
    line = [calibration.slope, calibration.offset, calibration.steepness]
    return Calibrated(line, [float(value) for value in calibration.centre])


def calibrations_of_lists(inputs: Inputs) -> dict[str, Calibration]:
    """By which the published lists were made."""
    settings = inputs.produced_by("recommendations").config
    return calibrations_of(inputs, bool(settings.get("calibrate", False)))


def calibrations_of(inputs: Inputs, is_wanted: bool) -> dict[str, Calibration]:
    """By model of new items, where its table says it."""
    (table,) = CONTENT.new_items
    found = calibration_of(inputs[table].manifest) if is_wanted and table in inputs else None
    return {} if found is None else {CONTENT.name: found}
