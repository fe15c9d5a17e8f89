"""What a protocol says of ratings: how they were cleaned, and which were withheld; and which
ratings these are.
"""

from dataclasses import asdict
from typing import Any

from emberline.datasets.cleaned import cleaning_of
from emberline.datasets.facts import Holdout
from emberline.runs.stage_run import StageRun
from emberline.sections.ratings import RatingsConfig
from emberline.sections.raw import RowsConfig

Row = dict[str, Any]
# How files are written, not what they say; and what says which data there are, which the sketch
# does.
_NO_CLEANING = {*RowsConfig.model_fields, "timestamp_format", "since", "until"}
CLEANING = tuple(name for name in RatingsConfig.model_fields if name not in _NO_CLEANING)


def of_ratings(run: StageRun[Any]) -> Row:
    """The facts `holdout` and `cleaning`: settings of prepare-ratings, but those that are not
    used.
    """
    manifest = run.inputs["holdout"].manifest
    config = cleaning_of(run.inputs["holdout"])
    cleaning = {
        name: config[name] for name in CLEANING if config.get(name) not in (None, [], {}, "")
    }
    return {"holdout": manifest.facts(Holdout).protocol, "cleaning": cleaning}


def data_of_ratings(run: StageRun[Any]) -> Row:
    """The fact `data` of a report, where split-ratings has said which they are."""
    found = run.inputs["holdout"].manifest.facts(Holdout).data
    return {"data": asdict(found)} if found else {}
