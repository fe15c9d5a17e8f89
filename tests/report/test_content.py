"""What the report says of attributes."""

from pathlib import Path

from emberline.datasets.manifest import Dataset, Manifest, ProducedBy
from emberline.report.content import Content, Modality, content
from emberline.runs.inputs import Inputs

PROOFS = [
    {"modality": "genres x year", "weight": 0.3, "gain": 0.1523, "z": 10.6, "is_used": True},
    {"modality": "title", "weight": 1.0, "gain": -0.0037, "z": 0.0, "is_used": False},
]


def inputs(**datasets: dict) -> Inputs:
    made = ProducedBy("train-content", "", "", {})
    return Inputs(
        {
            name: Dataset(Path("unused"), Manifest(name, "table", [], 0, [], made, info=info))
            for name, info in datasets.items()
        }
    )


def test_each_modality_is_told_with_what_it_has_proved() -> None:
    said = {"weights": {"genres x year near": 0.3}, "penalty": 1.0, "area": 0.66, "proofs": PROOFS}
    modalities = [
        Modality("genres x year", "+0.152", "10.6", "0.3"),
        Modality("title", "-0.004", "", ""),
    ]
    users = said | {"weights": {}, "area": 0.5}
    assert content(inputs(content_user_factors=users, content_factors=said)) == [
        Content("items", "0.660", modalities),
        Content("users", "", modalities),
    ]


def test_without_predictions_by_content_there_is_nothing_to_tell() -> None:
    assert content(inputs()) == []
