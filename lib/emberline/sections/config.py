"""A whole pipeline as frozen settings: one section per stage, and a section that is there is a
stage that runs.
"""

from typing import Any, Self

from pydantic import Field, model_validator

from emberline.models import ALS, CNN, CONTENT, FOREST
from emberline.sections.als import AlsConfig
from emberline.sections.attributes import AttributesConfig
from emberline.sections.base import Section, place, where
from emberline.sections.cnn import CnnConfig
from emberline.sections.content import ContentConfig, tables_by_side
from emberline.sections.cosine import CosineConfig
from emberline.sections.evaluate import EvaluateConfig
from emberline.sections.explain import ExplainConfig
from emberline.sections.export import ExportConfig
from emberline.sections.forest import ForestConfig
from emberline.sections.images import ImagesConfig
from emberline.sections.predict import PredictConfig
from emberline.sections.privacy import PrivacyConfig, check_privacy
from emberline.sections.publish import PublishConfig
from emberline.sections.ratings import RatingsConfig
from emberline.sections.recommend import RecommendConfig
from emberline.sections.report import ReportConfig
from emberline.sections.shards import ShardsConfig, check_group
from emberline.sections.shop import ShopConfig
from emberline.sections.sounds import SoundsConfig, with_clips
from emberline.sections.spark import SparkConfig
from emberline.sections.split import SplitConfig
from emberline.sections.tracking import TrackingConfig


class Config(Section):
    """A whole pipeline. A section that is there is a stage that runs; `spark` says where,
    `publish` what follows.
    """

    root: str = place(
        "runs",
        description="The folder or bucket of all datasets; without it, runs/ and the pipeline "
        "file's name.",
    )
    base: str | None = place(
        None,
        description="Another root, which is only read: what the root lacks is taken from there.",
    )
    spark: SparkConfig = where(
        SparkConfig(),
        description="Where Spark runs when `emberline run` starts it; under spark-submit the "
        "cluster's own settings come first.",
    )
    shop: ShopConfig | None = Field(
        default=None, description="generate-shop: a generated shop, for the demo."
    )
    ratings: RatingsConfig | None = Field(
        default=None,
        description="prepare-ratings: the raw interactions, and what of them is clean.",
    )
    split: SplitConfig | None = Field(
        default=None, description="split-ratings: which interactions train, which are withheld."
    )
    attributes: AttributesConfig | None = Field(
        default=None,
        description="prepare-items: what is known of items and of users besides ratings.",
    )
    images: ImagesConfig | None = Field(
        default=None, description="prepare-images: where pictures are, and the size they get."
    )
    sounds: SoundsConfig | None = Field(
        default=None,
        description="prepare-sounds: where sounds are, and the spectrograms that they become.",
    )
    als: AlsConfig | None = Field(default=None, description="train-als: alternating least squares.")
    cosine: CosineConfig | None = Field(
        default=None, description="train-cosine: neighbours of items and of users."
    )
    content: ContentConfig | None = Field(
        default=None,
        description="train-content: items' factors by words, categories and numbers.",
    )
    shards: ShardsConfig | None = Field(
        default=None, description="export-shards: what the trainer reads."
    )
    cnn: CnnConfig | None = Field(
        default=None, description="train-cnn: the network and how it is trained."
    )
    predict: PredictConfig | None = Field(
        default=None,
        description="predict-items: what the trained network says of every item with a picture.",
    )
    export: ExportConfig | None = Field(
        default=None, description="export-model: the trained network in small forms."
    )
    forest: ForestConfig | None = Field(
        default=None, description="train-forest: a random forest on the network's embeddings."
    )
    recommend: RecommendConfig | None = Field(
        default=None, description="recommend: lists for every user."
    )
    explain: ExplainConfig | None = Field(
        default=None, description="explain: why each item of a list is there."
    )
    evaluate: EvaluateConfig | None = Field(
        default=None, description="evaluate: how recommendations are measured on the holdout."
    )
    report: ReportConfig | None = Field(
        default=None, description="report: one HTML page about the run."
    )
    privacy: PrivacyConfig | None = Field(
        default=None,
        description="What is kept from whoever reads what is written: stages obey it.",
    )
    tracking: TrackingConfig = where(
        TrackingConfig(), description="Where MLflow notes runs and trials, too; never needed."
    )
    publish: PublishConfig = where(
        PublishConfig(), description="What `emberline publish --config` does, after the pipeline."
    )

    @property
    def min_users(self) -> int:
        """How many users have to stand behind what is published."""
        return self.privacy.min_users if self.privacy else 1

    @property
    def has_ratings(self) -> bool:
        """Whether values are ratings, which can be predicted, and not counts of events."""
        return self.ratings is not None and self.ratings.value == "rating"

    @property
    def predicts_ratings(self) -> bool:
        """Whether a model of the pipeline predicts ratings, to be measured beside those that
        were held out.
        """
        return self.has_ratings or self.predicts_ratings_by_als

    @property
    def makes_lists_by_als(self) -> bool:
        """Whether train-als fits the factors that lists are made from, by implicit feedback."""
        return self.als is not None and self.als.feedback != "explicit"

    @property
    def predicts_ratings_by_als(self) -> bool:
        """Whether train-als fits the factors that predict ratings, by explicit feedback."""
        if self.als is None or self.als.feedback != "auto":
            return self.als is not None and self.als.feedback == "explicit"
        return self.has_ratings and self.evaluate is not None and self.recommend is not None

    @property
    def predicts_factors(self) -> bool:
        """Whether the pipeline predicts ALS factors from pictures."""
        return (
            self.predict is not None and self.shards is not None and self.shards.task == "factors"
        )

    @property
    def new_item_tables(self) -> tuple[str, ...]:
        """The factors that models predict for items, also for those without ratings."""
        by_content = tables_by_side(self).get("item", ())
        return (*by_content, *(CNN.new_items if self.predicts_factors else ()))

    @property
    def new_user_tables(self) -> tuple[str, ...]:
        """The factors that models predict for users, also for those who have rated nothing."""
        return tables_by_side(self).get("user", ())

    @property
    def recommends_to_new_users(self) -> bool:
        """Whether there are lists for users without ratings, by what is known of them."""
        return (
            bool(self.new_user_tables)
            and self.recommend is not None
            and self.recommend.model == ALS.name
        )

    @property
    def recommends_unrated_items(self) -> bool:
        """Whether lists hold items without ratings, by the factors that are predicted for them."""
        return (
            bool(self.new_item_tables)
            and self.recommend is not None
            and self.recommend.model == ALS.name
        )

    @property
    def refits(self) -> bool:
        """Whether published lists are by a model refitted to all interactions: some are withheld
        from training.
        """
        return (
            self.recommend is not None
            and self.recommend.refit
            and self.split is not None
            and self.split.withholds
        )

    @property
    def predicts_classes(self) -> bool:
        """Whether the pipeline predicts classes from pictures."""
        return self.predict is not None and self.shards is not None and self.shards.task == "class"

    @property
    def measures_cold_items(self) -> bool:
        """Whether items that were withheld whole can be ranked by factors: predicted ones, or at
        least those of baselines.
        """
        return (
            self.evaluate is not None
            and self.makes_lists_by_als
            and self.split is not None
            and self.split.has_cold_items
        )

    @model_validator(mode="before")
    @classmethod
    def _ratings_are_split(cls, content: Any) -> Any:
        """Without a section [split], all ratings are trained on."""
        if isinstance(content, dict) and content.get("ratings") is not None:
            content = {"split": {}} | content
        return with_clips(content)

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        if self.ratings and self.split:
            self._split_fits(self.ratings, self.split)
        if self.cosine and self.ratings:
            self.cosine.check_suits(self.ratings.value)
        self._network_fits()
        if self.content:
            self._content_fits()
        if self.privacy:
            check_privacy(self, self.privacy)
        if self.recommend:
            self._recommend_fits(self.recommend)
        if self.explain:
            self._explain_fits()
        if self.evaluate:
            self._evaluate_fits(self.evaluate)
        return self

    def _split_fits(self, ratings: RatingsConfig, split: SplitConfig) -> None:
        for name, way in (("split", split), ("split.validation", split.validation)):
            if way.needs_time and ratings.columns.timestamp is None:
                raise ValueError(f'{name}.by = "{way.by}" needs ratings.columns.timestamp')
        if self.als and self.als.patience and not split.validates:
            raise ValueError(
                "als.patience needs split.validation, by whose ratings iterations are compared"
            )
        if split.by == "column" and ratings.columns.split is None:
            raise ValueError(
                'split.by = "column" needs ratings.columns.split, the column that says train,'
                " validation or test"
            )

    def _network_fits(self) -> None:
        """Each section from the pictures to the forest needs those before it."""
        if self.shards:
            self._shards_fit(self.shards)
            if self.shards.task == "factors":
                self._needs('shards.task = "factors"', ALS.name, "ratings")
                self._makes_lists('shards.task = "factors"')
        if self.cnn:
            self._needs(CNN.name, "shards")
        for section in ("predict", "export"):
            if getattr(self, section):
                self._needs(section, CNN.name)
        if self.forest:
            self._needs(FOREST.name, "predict")
            if not self.predicts_classes:
                raise ValueError('[forest] learns classes: it needs shards.task = "class"')

    def _shards_fit(self, shards: ShardsConfig) -> None:
        """Pictures or sounds have their section, and what changes them suits them."""
        if getattr(self, shards.of) is None:
            other = "images" if shards.of == "sounds" else "sounds"
            also = f'; for [{other}] set shards.of = "{other}"' if getattr(self, other) else ""
            raise ValueError(f"[shards] needs a section [{shards.of}]{also}")
        check_group(self, shards)
        if self.cnn:
            self.cnn.input.check_suits(shards.of)

    def _content_fits(self) -> None:
        self._needs(CONTENT.name, ALS.name, "ratings", "attributes")
        self._makes_lists(f"[{CONTENT.name}]")

    def _needs(self, what: str, *sections: str) -> None:
        for section in sections:
            if getattr(self, section) is None:
                raise ValueError(
                    f"{what if '=' in what else f'[{what}]'} needs a section [{section}]"
                )

    def _makes_lists(self, what: str) -> None:
        if not self.makes_lists_by_als:
            raise ValueError(
                f'{what} needs factors that rank; als.feedback = "explicit" predicts ratings, and'
                ' its lists are worse than the most popular items: remove it, or set it to "auto"'
                ' (lists, and predicted ratings) or "implicit" (lists)'
            )

    def _recommend_fits(self, recommend: RecommendConfig) -> None:
        if recommend.model == ALS.name and not self.als:
            raise ValueError(f'recommend.model = "{ALS.name}" needs a section [{ALS.name}]')
        if recommend.model == ALS.name:
            self._makes_lists(f'recommend.model = "{ALS.name}"')
        side = recommend.model.replace("-neighbors", "s")
        if recommend.model != ALS.name and (not self.cosine or side not in self.cosine.sides):
            raise ValueError(
                f'recommend.model = "{recommend.model}" needs a section [cosine] whose sides hold'
                f' "{side}"'
            )
        if recommend.cold_share and not self.recommends_unrated_items:
            raise ValueError(
                f'recommend.cold_share needs recommend.model = "{ALS.name}", and a section'
                f' [{CONTENT.name}], or shards.task = "factors" and a section [predict]'
            )

        if recommend.segments and not (self.attributes and self.attributes.users):
            raise ValueError("[recommend.segments] needs a section [attributes.users]")

    def _explain_fits(self) -> None:
        self._needs("explain", "recommend", "ratings")
        by_als = self.recommend is not None and self.recommend.model == ALS.name
        if by_als and self.als and self.als.nonnegative:
            raise ValueError(
                "[explain] takes a score apart into events, which als.nonnegative does not allow:"
                " remove one of them"
            )

    def _evaluate_fits(self, evaluate: EvaluateConfig) -> None:
        if not (self.recommend or self.measures_cold_items or self.predicts_classes):
            raise ValueError(
                "[evaluate] measures recommendations or classes: it needs a section [recommend] or"
                " [predict]"
            )
        if self.recommend and max(evaluate.k) > self.recommend.top_k:
            raise ValueError(
                f"evaluate.k = {max(evaluate.k)} is more than recommend.top_k ="
                f" {self.recommend.top_k}"
            )
        if evaluate.slice_by and not (self.attributes and self.attributes.users):
            raise ValueError("evaluate.slice_by needs [[attributes.users]], which says what it is")
        if self.recommend and self.split and not self.split.holds_out_ratings:
            raise ValueError("[evaluate] needs held-out ratings: set split.by")
