"""What of that which is said of items, or of users, has proved to say who likes what."""

from dataclasses import dataclass

from emberline.datasets.facts import Content as Facts
from emberline.models import CONTENT, CONTENT_USER
from emberline.report.text import measure
from emberline.runs.inputs import Inputs


@dataclass(frozen=True)
class Modality:
    """A column, or two at once; what it gains, in how many standard deviations of permutations, and
    how much it counts: nothing where `weight` is empty.
    """

    name: str
    gain: str
    z: str
    weight: str


@dataclass(frozen=True)
class Content:
    """Of what (`items` or `users`) all modalities were tried, and the area under the ROC curve that
    those reach together which count: empty where none does.
    """

    of: str
    area: str
    modalities: list[Modality]


def content(inputs: Inputs) -> list[Content]:
    """As the manifests of the predicted factors have it; none where nothing was predicted."""
    tables = {CONTENT.new_items[0]: "items", CONTENT_USER.new_users[0]: "users"}
    return [
        _of(of, inputs[table].manifest.facts(Facts))
        for table, of in tables.items()
        if table in inputs
    ]


def _of(of: str, facts: Facts) -> Content:
    modalities = [
        Modality(
            str(proof["modality"]),
            f"{float(proof['gain']):+.3f}",
            f"{float(proof['z']):.1f}" if proof["z"] else "",
            f"{float(proof['weight']):g}" if proof["is_used"] else "",
        )
        for proof in facts.proofs
    ]
    return Content(of, measure(facts.area) if facts.weights else "", modalities)
