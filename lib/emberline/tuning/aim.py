"""What a study wants: a metric of a model, which pipeline it takes to measure that, and which
settings it can depend on.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from emberline.cf.metrics import direction_of
from emberline.errors import ConfigError
from emberline.models import ALS, CNN, CONTENT, CONTENT_USER, FOREST, ITEM_NEIGHBORS, USER_NEIGHBORS
from emberline.sections.als import AlsConfig
from emberline.sections.config import Config
from emberline.sections.cosine import cosine_tables

Question = Literal["lists", "ratings", "cold items", "classes"]
Names = tuple[str, ...]
_ERRORS = ("rmse", "mae")  # of predicted ratings: the smaller the better
_NEIGHBORS = {ITEM_NEIGHBORS.name: "items", USER_NEIGHBORS.name: "users"}
_ON_FACTORS: Names = (CONTENT.name, "shards", CNN.name, "predict", FOREST.name)
_LIGHT = 4  # factors of lists where none is measured: evaluate has them beside predicted ratings
# the sections whose settings a study may vary
VARIED: Names = (ALS.name, "cosine", CONTENT.name, "shards", CNN.name, FOREST.name, "recommend")
_ALS_RATINGS: Names = (f"{ALS.name}.ratings",)


@dataclass(frozen=True)
class Aim:
    """A metric of a model that answers a question."""

    metric: str
    model: str
    question: Question

    @property
    def lower_is_better(self) -> bool:
        return direction_of(self.metric) == "lower"

    @property
    def report(self) -> str:
        """The report of metrics.json that has it."""
        return self.question if self.question in ("cold items", "classes") else "holdout"

    @property
    def own(self) -> Names:
        """The sections, or settings, that the model is made by."""
        if self.question == "ratings":
            return _ALS_RATINGS if self.model == ALS.name else ("cosine.ratings",)
        return ("cosine",) if self.model in _NEIGHBORS else (self.model,)

    @property
    def idle(self) -> Names:
        """The sections, or settings, that it cannot depend on."""
        if self.question == "ratings":
            return ("cosine",) if self.model == ALS.name else (ALS.name,)
        ratings = (f"{ALS.name}.ratings", "cosine.ratings")
        if self.question == "classes":
            return (f"{CNN.name}.components", ALS.name, "cosine", "recommend")
        if self.question == "lists":
            return (*ratings, ALS.name if self.model in _NEIGHBORS else "cosine")
        return (*ratings, "cosine", "recommend")

    def depends_on(self, name: str) -> bool:
        """Whether a setting, by its whole name, can change what is measured."""
        if self.question == "ratings" and self.model in _NEIGHBORS:
            return name.startswith("cosine.ratings.")
        return not any(f"{name}.".startswith(f"{idle}.") for idle in self.idle)


def aim_of(config: Config, metric: str, model: str | None) -> Aim:
    """What is meant by a metric's name, and perhaps a model's. Raises ConfigError where the
    pipeline does not measure it, or measures it of several models.
    """
    question = _question(config, metric, model)
    answering = _models(config, question)
    if model is None:
        usual = config.recommend.model if config.recommend else None
        model = usual if usual in answering else answering[0] if len(answering) == 1 else None
        if model is None:
            raise ConfigError(
                f"{metric} is measured of {', '.join(answering) or 'no model'} here: give --model"
            )
    if model not in answering:
        raise ConfigError(
            f"{metric} of {model} is not measured by this pipeline; of these models it is:"
            f" {', '.join(answering) or 'none'}"
        )
    return Aim(metric, model, question)


def _question(config: Config, metric: str, model: str | None) -> Question:
    if config.evaluate is None:
        raise ConfigError("the pipeline has no section [evaluate], whose metrics a study compares")
    if metric in _ERRORS:
        if not config.predicts_ratings:
            raise ConfigError(f"{metric} is of predicted ratings, and this pipeline predicts none")
        return "ratings"
    if config.predicts_classes and "@" not in metric and metric != "auc":
        return "classes"
    if model == CONTENT_USER.name:
        raise ConfigError(
            "people who have rated nothing are in the holdout alone, which trials do not see"
        )
    lengths = re.search(r"@(\d+)", metric)
    length = int(lengths[1]) if lengths else None
    if config.recommend and length in config.evaluate.k and model in (None, *_lists(config)):
        return "lists"
    if config.measures_cold_items and (metric == "auc" or length in config.evaluate.cold_k):
        return "cold items"
    raise ConfigError(f"{metric} is not measured by this pipeline: {_measured(config)}")


def _measured(config: Config) -> str:
    """What is, in words."""
    evaluate, told = config.evaluate, []
    if evaluate and config.recommend:
        told.append(f"lists by ndcg@k, recall@k/n and others at k = {_or(evaluate.k)}")
    if config.predicts_ratings:
        told.append("predicted ratings by rmse and mae")
    if evaluate and config.measures_cold_items:
        told.append(f"cold items by auc, and ndcg@k and others at k = {_or(evaluate.cold_k)}")
    if config.predicts_classes:
        told.append("classes by accuracy and others")
    return "; ".join(told) or "it measures nothing"


def _or(numbers: tuple[int, ...]) -> str:
    return " or ".join(map(str, numbers))


def _lists(config: Config) -> Names:
    return (config.recommend.model,) if config.recommend else ()


def _models(config: Config, question: Question) -> Names:
    """Those of the pipeline that answer."""
    if question == "lists":
        return _lists(config)
    if question == "ratings":
        sides = {f"{name.replace('-', '_')}": name for name in _NEIGHBORS}
        by_als = (ALS.name,) if config.predicts_ratings_by_als else ()
        return (*by_als, *(sides[table] for table in cosine_tables(config)))
    if question == "classes":
        return (CNN.name, *((FOREST.name,) if config.forest else ()))
    tables = config.new_item_tables
    return tuple(model.name for model in (CONTENT, CNN) if {*model.new_items} & {*tables})


def reduced(content: Mapping[str, Any], config: Config, aim: Aim) -> dict[str, Any]:
    """The sections of a pipeline that it takes to measure the aim, and their settings."""
    left = {"report", "explain", "publish"}
    changed: dict[str, dict[str, Any]] = {}
    if aim.model in _NEIGHBORS:
        left |= {ALS.name, *_ON_FACTORS}
        changed["cosine"] = {"sides": [_NEIGHBORS[aim.model]]}
        changed["recommend"] = {"model": aim.model, "cold_share": 0.0}
    elif aim.question != "classes":
        left |= {"cosine"}
        if aim.question == "ratings":
            left |= {*_ON_FACTORS}
            changed["recommend"] = {"model": ALS.name, "cold_share": 0.0}
            changed[ALS.name] = {"rank": _LIGHT}
        elif config.als and config.als.feedback == "auto":
            changed[ALS.name] = {"feedback": "implicit"}
    if config.als is not None and ALS.name not in left:
        _check_start(config.als)
        changed.setdefault(ALS.name, {})["start_from"] = None
    if aim.question == "cold items":
        left |= {"recommend"}
    if aim.question == "classes" and aim.model == CNN.name:
        left |= {FOREST.name}
    kept = {name: value for name, value in content.items() if name not in left}
    return {name: _merged(value, changed.get(name, {})) for name, value in kept.items()}


def _check_start(als: AlsConfig) -> None:
    """Raises ConfigError where nothing is left without earlier factors: these may have seen the
    holdout, or what trials are measured by.
    """
    if not als.iterations:
        raise ConfigError(
            "als.iterations = 0 keeps factors that may have seen the holdout: set it higher"
        )


def _merged(section: Any, changed: Mapping[str, Any]) -> Any:
    return {**section, **changed} if changed and isinstance(section, dict) else section
