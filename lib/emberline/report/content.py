"""What of that which is said of items has proved to say who likes them."""

from dataclasses import dataclass

from emberline.datasets.facts import Content as Facts
from emberline.models import CONTENT
from emberline.report.text import measure
from emberline.runs.inputs import Inputs


@dataclass(frozen=True)
class Modality:
    """A column, or two at once; what it gains, in how many standard deviations of permutations, and
    whether it counts.
    """

    name: str
    gain: str
    z: str
    is_used: bool


@dataclass(frozen=True)
class Content:
    """All modalities that were tried, and the area under the ROC curve that those reach together
    which count: empty where none does.
    """

    area: str
    modalities: list[Modality]


def content(inputs: Inputs) -> Content | None:
    """As the manifest of the predicted factors has it; None where nothing was predicted."""
    (table,) = CONTENT.new_items
    if table not in inputs:
        return None
    facts = inputs[table].manifest.facts(Facts)
    modalities = [
        Modality(
            str(proof["modality"]),
            f"{float(proof['gain']):+.3f}",
            f"{float(proof['z']):.1f}" if proof["z"] else "",
            bool(proof["is_used"]),
        )
        for proof in facts.proofs
    ]
    return Content(measure(facts.area) if facts.blocks else "", modalities)
