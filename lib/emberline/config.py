"""A pipeline as frozen models: one section per stage, and a section being there is what makes its
stage run.

Fields marked `where()` say where and how fast something is computed; all others say what, and enter
the stage's fingerprint.
"""

import codecs
import re
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from emberline.cleaning import times
from emberline.cleaning.attributes import AttributeRules
from emberline.cleaning.events import EventRules
from emberline.cleaning.ids import IdRules
from emberline.cleaning.numbers import NumberRules
from emberline.cleaning.texts import NULLS, TextRules
from emberline.records.dialect import Dialect

_WINDOWS = re.compile(r"(?:x-)?windows-(\d+j?)")  # what others call Python's cp949 or cp932
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def where(default: Any = ..., **constraints: Any) -> Any:
    """A field that changes where or how fast a stage computes, but not what: it is logged, not
    fingerprinted.
    """
    return Field(default, json_schema_extra={"where": True}, **constraints)


def place(default: Any = ..., *words: str) -> Any:
    """A `where()` that is a path or a URI, which belongs to the pipeline file: relative to its
    folder; `words` are none.
    """
    return Field(default, json_schema_extra={"where": True, "place": True, "words": list(words)})


class Model(BaseModel):
    """A section: what it does not know, and what is of another type, is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def what(self) -> dict[str, Any]:
        """The settings that decide the result, as JSON-ready values."""
        return {
            name: value.what() if isinstance(value, Model) else _plain(value)
            for name, value in self
            if not (type(self).model_fields[name].json_schema_extra or {}).get("where")  # type: ignore[union-attr]
        }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [item.what() if isinstance(item, Model) else item for item in value]
    return value


class SparkConfig(Model):
    """Where Spark runs when `emberline run` starts it; under spark-submit the cluster's own
    settings come first.
    """

    master: str = where("local[*]")
    driver_memory: str = where("2g", pattern=r"^\d+[kmgt]$")
    shuffle_partitions: Positive | None = where(None)
    conf: dict[str, str] = where({})

    @field_validator("master")
    @classmethod
    def _is_master(cls, master: str) -> str:
        if not re.match(r"local(\[|$)|local-cluster\[|yarn$|spark://|k8s://", master):
            raise ValueError(
                f"expected local[*], spark://HOST:PORT, yarn or k8s://HOST:PORT, found {master!r}"
            )
        return master


class ShopConfig(Model):
    """A generated shop, for the demo: items with pictures and titles, customers with tastes, a
    log of purchases.
    """

    num_items: Annotated[int, Field(ge=10)] = 1500
    num_users: Annotated[int, Field(ge=10)] = 3000
    num_events: Annotated[int, Field(ge=100)] = 120_000
    seed: Seed = 1


class ColumnsConfig(Model):
    """Which input column is which: a name, or, for CSV without a header, a position counted
    from 1.
    """

    user_id: str | Positive
    item_id: str | Positive
    value: str | Positive | None = None
    timestamp: str | Positive | None = None
    title: str | Positive | None = None
    event: str | Positive | None = None


class RejectRule(Model):
    """Rows in whose `column` the regular expression `pattern` is found are rejected, for `reason`.

    A missing text counts as the empty one: `pattern = "^$"` rejects rows without any.
    """

    column: str | Positive
    pattern: str
    reason: Annotated[str, Field(min_length=1)]

    @field_validator("pattern")
    @classmethod
    def _is_regular_expression(cls, pattern: str) -> str:
        return _regular_expression(pattern)


class IdPattern(Model):
    """What the regular expression `pattern` finds in an id is replaced; in `replace`, `\\1` is
    the pattern's first group.
    """

    pattern: str
    replace: str = ""

    @field_validator("pattern")
    @classmethod
    def _is_regular_expression(cls, pattern: str) -> str:
        return _regular_expression(pattern)


def _regular_expression(pattern: str) -> str:
    try:
        return re.compile(pattern).pattern
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from None


IdPatterns = Annotated[tuple[IdPattern, ...], Field(strict=False)]


def _id_rules(kind: Literal["text", "integer"], patterns: tuple[IdPattern, ...]) -> IdRules:
    return IdRules(kind, tuple((one.pattern, one.replace) for one in patterns))


class HoldoutConfig(Model):
    """Which ratings are withheld from training.

    `fraction` of each user's, chosen by hash; those `after` a time or of the `last_days` before the
    newest; the last `n` of each user. Independently, `cold_items` is the share of items, chosen by
    hash, of which every event is withheld.
    """

    by: Literal["none", "fraction", "time", "last"] = "none"
    fraction: Fraction | None = None
    after: str | None = None
    last_days: Annotated[float, Field(gt=0)] | None = None
    n: Positive | None = None
    cold_items: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("after", mode="before")
    @classmethod
    def _toml_time(cls, after: Any) -> Any:
        return after.isoformat() if isinstance(after, date) else after

    @field_validator("after")
    @classmethod
    def _is_time(cls, after: str | None) -> str | None:
        return _time(after)

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        wanted = {
            "none": (),
            "fraction": ("fraction",),
            "time": ("after", "last_days"),
            "last": ("n",),
        }
        given = [
            key for key in ("fraction", "after", "last_days", "n") if getattr(self, key) is not None
        ]
        allowed = wanted[self.by]
        if len(given) != min(len(allowed), 1) or not set(given) <= set(allowed):
            need = " or ".join(allowed) or "none of fraction, after, last_days, n"
            raise ValueError(
                f'by = "{self.by}" goes with {need}, found {", ".join(given) or "nothing"}'
            )
        return self


class RawConfig(Model):
    """Where raw records are and how their files are written.

    CSV has fields between separators (`separator = "whitespace"` is any number of blanks and tabs);
    a field in quotes may hold separators and line breaks; with `escape`, often a backslash, the
    character behind it is text. JSON holds one object per line. `encoding` is any that Python
    knows.

    `path` is a file, a folder or a glob, relative to the pipeline file's folder (places.py has the
    rules).
    """

    path: str = place()
    format: Literal["auto", "csv", "json", "parquet"] = "auto"
    separator: Annotated[str, Field(min_length=1)] = ","
    header: bool = True
    quote: Annotated[str, Field(max_length=1)] = '"'
    escape: Annotated[str, Field(max_length=1, pattern=r"^[^\w\s]?$")] = ""
    comment: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        for known in (name, _WINDOWS.sub(r"cp\1", name.lower()).replace("cp31j", "cp932")):
            with suppress(LookupError):
                b" ".decode(known, "ignore")
                return codecs.lookup(known).name
        raise ValueError(
            "unknown encoding; it is one that Python knows, such as utf-8, cp1252, cp932 or utf-16"
        )

    def dialect(self, kind: str) -> Dialect:
        """How files of a kind, csv or json, are written."""
        # doubled quotes are read in any case
        escape = self.escape if self.escape != self.quote else ""
        return Dialect(
            kind, self.separator, self.header, self.quote, escape, self.comment or "", self.encoding
        )


class TextConfig(RawConfig):
    """How texts are cleaned: `nulls` are texts that mean that there is none, as the empty one does.

    With `normalize`, texts get Unicode's normal form NFC, and lose all white space around them: an
    id is one id, however its accents are written, and whatever blank stands behind it.
    """

    nulls: Annotated[tuple[str, ...], Field(strict=False)] = NULLS
    normalize: bool = True

    def text_rules(self) -> TextRules:
        return TextRules(self.nulls, self.normalize)


class RowsConfig(TextConfig):
    """How numbers are written, `decimal` before the fraction and `thousands` between groups of
    digits.

    Where more than the share `max_rejected` of the rows cannot be used, the stage stops; rows that
    a `reject` rule names are not counted.
    """

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'", "\u00a0", "\u202f"] = ""
    max_rejected: float = where(0.05, ge=0, le=1)

    @model_validator(mode="after")
    def _numbers_can_be_read(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(
                f"decimal and thousands are both {self.decimal!r}: one of them is another character"
            )
        return self

    def number_rules(self) -> NumberRules:
        return NumberRules(self.decimal, self.thousands)


class RatingsConfig(RowsConfig):
    """What the raw interactions look like, what counts as clean, and what is held out.

    `clean_user_ids` and `clean_item_ids` replace what a pattern finds in ids. `timestamp_format` is
    `seconds`, `milliseconds` or `microseconds` since 1970, `iso`, or a format of strptime
    (`%d.%m.%Y %H:%M`) or of Java (`dd.MM.yyyy HH:mm`); times without a zone are UTC. A row counts
    as much as the `weights` of its `columns.event`, times `columns.value` where there is one;
    events that are not listed weigh `default_weight`, without which they are rejected, and events
    that weigh 0 are left out. So are those earlier than `since`, not before `until`, or more than
    `last_days` before the newest one. Of several rows of a user and an item, `keep` says what
    counts: their sum, which is the default for counts and weighted events, else the latest.
    """

    columns: ColumnsConfig
    user_ids: Literal["text", "integer"] = "text"
    item_ids: Literal["text", "integer"] = "text"
    clean_user_ids: IdPatterns = ()
    clean_item_ids: IdPatterns = ()
    value: Literal["rating", "count", "one"] = "rating"
    min_value: float | None = None
    max_value: float | None = None
    weights: dict[str, Annotated[float, Field(ge=0, strict=False)]] = {}
    default_weight: Annotated[float, Field(ge=0)] | None = None
    timestamp_format: str = "seconds"
    since: str | None = None
    until: str | None = None
    last_days: Annotated[float, Field(gt=0)] | None = None
    reject: Annotated[tuple[RejectRule, ...], Field(strict=False)] = ()
    keep: Literal["latest", "sum", "max"] = "latest"
    min_user_ratings: Positive = 1
    min_item_ratings: Positive = 1
    holdout: HoldoutConfig = HoldoutConfig()
    seed: Seed = 1

    @model_validator(mode="before")
    @classmethod
    def _counts_are_added(cls, section: Any) -> Any:
        if isinstance(section, dict) and (
            section.get("value") == "count" or section.get("weights")
        ):
            return {"keep": "sum"} | section
        return section

    @field_validator("timestamp_format")
    @classmethod
    def _is_format(cls, written: str) -> str:
        try:
            times.check(written)
        except times.FormatError as error:
            raise ValueError(
                f"{written!r} {error}; expected seconds, milliseconds, microseconds, iso, "
                "or a format such as %d.%m.%Y %H:%M or dd.MM.yyyy HH:mm"
            ) from None
        return written

    @field_validator("since", "until", mode="before")
    @classmethod
    def _toml_time(cls, moment: Any) -> Any:
        return moment.isoformat() if isinstance(moment, date) else moment

    @field_validator("since", "until")
    @classmethod
    def _is_time(cls, moment: str | None) -> str | None:
        return _time(moment)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.value == "rating" and self.columns.value is None:
            raise ValueError(
                'value = "rating" needs columns.value (use value = "one" to count every event as 1)'
            )
        if self.value == "one" and self.columns.value is not None:
            raise ValueError(
                'value = "one" ignores columns.value: remove it, or use value = "count"'
            )
        self._weights_fit()
        if self.columns.timestamp is None:
            wanted = {"since": self.since, "until": self.until, "last_days": self.last_days}
            wanted |= {f'holdout.by = "{self.holdout.by}"': self.holdout.by in ("time", "last")}
            if asking := [name for name, value in wanted.items() if value]:
                raise ValueError(f"{asking[0]} needs columns.timestamp")
        mapped = [*self.columns.what().values(), *(rule.column for rule in self.reject)]
        if not self.header and any(isinstance(column, str) for column in mapped):
            raise ValueError("without a header, columns are positions counted from 1, not names")
        return self

    def _weights_fit(self) -> None:
        if bool(self.weights) != (self.columns.event is not None):
            raise ValueError(
                "weights are of the events that columns.event names: set both, or neither"
            )
        if self.weights and self.value == "rating":
            raise ValueError(
                'weights are for events that count: set value = "one", or "count" with'
                " columns.value"
            )
        if self.default_weight is not None and not self.weights:
            raise ValueError(
                "default_weight is for events that weights does not list: set weights, too"
            )

    def rules(self) -> EventRules:
        """What is clean, as Spark's workers take it."""
        return EventRules(
            columns=frozenset(name for name, column in self.columns if column is not None),
            texts=self.text_rules(),
            users=_id_rules(self.user_ids, self.clean_user_ids),
            items=_id_rules(self.item_ids, self.clean_item_ids),
            numbers=self.number_rules(),
            value=self.value,
            min_value=self.min_value,
            max_value=self.max_value,
            weights=self.weights,
            default_weight=self.default_weight,
            timestamp_format=self.timestamp_format,
            since=_moment(self.since),
            until=_moment(self.until),
            reject=tuple((rule.pattern, rule.reason) for rule in self.reject),
        )

    def wanted(self) -> dict[str, str | int]:
        """The input's columns by the names that the rules have for them."""
        columns = {name: column for name, column in self.columns if column is not None}
        return columns | {f"_rule_{i}": rule.column for i, rule in enumerate(self.reject)}


def _time(text: str | None) -> str | None:
    try:
        return None if text is None else datetime.fromisoformat(text).isoformat(sep=" ")
    except ValueError:
        raise ValueError("expected a time such as 2011-11-01 or 2011-11-01 08:00:00") from None


def _moment(text: str | None) -> datetime | None:
    """A time of the pipeline file; without a zone, of UTC."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class AttributeColumnsConfig(Model):
    """Which input column is which; `genres` and `tags` hold several words, cut at the section's
    `list_separator`.
    """

    id: str | Positive
    title: str | Positive | None = None
    text: str | Positive | None = None
    label: str | Positive | None = None
    genres: str | Positive | None = None
    tags: str | Positive | None = None


class AttributeSourceConfig(RowsConfig):
    """One source of attributes; an id may have several rows, whose lists are joined. `clean_ids`
    replaces what it finds in ids.

    `numbers` are names of columns, or names of your own with the columns' names or positions: `{
    price = 5 }`. A number that cannot be used is missing, and the rest of its row is not.
    """

    columns: AttributeColumnsConfig
    ids: Literal["text", "integer"] = "text"
    clean_ids: IdPatterns = ()
    numbers: Annotated[tuple[str, ...], Field(strict=False)] | dict[str, str | Positive] = ()
    list_separator: Annotated[str, Field(min_length=1)] = "|"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        mapped = [*self.columns.what().values(), *self._number_columns().values()]
        if not self.header and any(isinstance(column, str) for column in mapped):
            raise ValueError("without a header, columns are positions counted from 1, not names")
        return self

    def rules(self, numbers: tuple[str, ...]) -> AttributeRules:
        """What is clean, as Spark's workers take it. numbers: the names of those of all sources."""
        columns = frozenset(self.wanted(numbers))
        ids = _id_rules(self.ids, self.clean_ids)
        return AttributeRules(
            columns, numbers, self.text_rules(), ids, self.number_rules(), self.list_separator
        )

    def wanted(self, numbers: tuple[str, ...]) -> dict[str, str | int]:
        """The input's columns by the names that the rules have for them."""
        columns = {name: column for name, column in self.columns if column is not None}
        return columns | {
            f"_number_{numbers.index(name)}": column
            for name, column in self._number_columns().items()
        }

    def _number_columns(self) -> dict[str, str | int]:
        return (
            dict(self.numbers)
            if isinstance(self.numbers, dict)
            else {name: name for name in self.numbers}
        )


Sources = Annotated[tuple[AttributeSourceConfig, ...], Field(strict=False)]


class AttributesConfig(Model):
    """What is known of items and of users besides ratings: one source or several of each."""

    items: Sources = ()
    users: Sources = ()

    @field_validator("items", "users", mode="before")
    @classmethod
    def _one_or_several(cls, sources: Any) -> Any:
        return [sources] if isinstance(sources, dict) else sources

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.items and not self.users:
            raise ValueError("needs a section [attributes.items] or [attributes.users]")
        return self

    def numbers(self, side: str) -> tuple[str, ...]:
        """The names of the numbers of all sources of items or users, each once, in their order."""
        sources = self.items if side == "item" else self.users
        return tuple(dict.fromkeys(name for source in sources for name in source.numbers))


class ImageColumnsConfig(Model):
    """Which Parquet column is which; `image` holds encoded bytes: PNG, JPEG, ..."""

    item_id: str
    image: str
    label: str | None = None


class ImagesConfig(Model):
    """Where pictures are, and the fixed size they get.

    `format = "files"` is a folder tree of pictures. There, with `labels = "folder"` a picture's
    folder is its label and its path its item id; with `labels = "none"` its file name without the
    extension is its item id. `label_names` names classes that are
    numbers: of collections, of a column of Parquet, of folders.

    With `split = "auto"`, first folders called train, val (valid, validation) and test, in any
    case, say what a picture is for, and so do Parquet files called train-00000-of-00002.parquet;
    with `"none"` they say nothing. `normalize` is that of ratings. A picture of more than
    `max_pixels` is refused before it is decoded: a pixel takes up to 6 bytes of a worker's memory,
    of transparent pictures 9, of floating point 12, of WebP 16; of progressive JPEG 3, of other
    JPEG next to none.
    """

    path: str = place()
    format: Literal["auto", "files", "parquet", "cifar10", "idx"] = "auto"
    labels: Literal["none", "folder"] = "none"
    columns: ImageColumnsConfig | None = None
    label_names: Annotated[tuple[str, ...], Field(strict=False)] = ()
    split: Literal["auto", "none"] = "auto"
    normalize: bool = True
    height: Positive = 32
    width: Positive = 32
    channels: Literal[1, 3] = 3
    fit: Literal["crop", "pad", "stretch"] = "crop"
    max_pixels: Positive = 50_000_000

    def text_rules(self) -> TextRules:
        """How ids and labels are cleaned: no text of theirs means that there is none."""
        return TextRules((), self.normalize)


class RatingFactorsConfig(Model):
    """The fit that predicts ratings, beside the one that makes lists; what is not here is as in
    [als].

    With `biases`, a rating is predicted by the mean of all, a bias of the user, one of the item,
    and the product of their `rank` factors, else by that product alone.
    """

    rank: Positive = 32
    reg_param: Annotated[float, Field(ge=0)] = 0.1
    biases: bool = True


class AlsConfig(Model):
    """Alternating least squares.

    Lists are made by implicit feedback, which learns whom to show what, also where the values are
    ratings. Explicit feedback learns to predict ratings, and makes bad lists. `feedback = "auto"`
    is implicit and, where `value = "rating"` and there is an [evaluate] that measures predicted
    ratings, explicit besides, as [als.ratings] says; "implicit" and "explicit" are one alone.

    A row's regularisation is `reg_param * count ** reg_exponent`. The count is of its ratings, with
    implicit feedback of its positive ones, and with an `unobserved_weight` w of its ratings plus w
    times the rows of the other side; 0 scales nothing, 1 is MLlib's.

    Implicit feedback weighs a pair by 1 plus `alpha` times its `confidence`, where what was not
    observed weighs 1: the value ("linear"), the logarithm of 1 + value ("log"), or the exponential
    of how many standard deviations the value is above the mean of all ("exp"); "auto" is "exp" for
    ratings and "log" for counts. With an `unobserved_weight`, a pair weighs 1, and what was not
    observed weighs that.

    Each half-step takes `cg_steps` of conjugate gradients, or solves exactly by `cholesky`, or in
    one pass over blocks of `subspace` factors, which is the quickest for ranks of some hundreds.
    With `nonnegative`, factors are kept from being negative, exactly; but those that predict
    ratings only where these have no biases.

    A part of the ratings of `validation_users` users is withheld to measure each iteration by:
    explicit feedback by RMSE, implicit feedback by AUC. With `patience`, training ends after so
    many iterations without a better one, and the best one is kept.

    `start_from` begins at the factors of an earlier run: "previous" is this root's own, anything
    else is another root. With `iterations = 0` the items' factors stay as they were, and all users,
    new ones too, are folded in.

    Both sides' factors are sent to all workers (`exchange = "broadcast"`), or to each the rows that
    it needs (`"shuffle"`); "auto" does the first where the driver's memory allows it. Every
    `checkpoint_every` iterations, and at each best one, the state is stored, and a killed run goes
    on from there. `blocks` is into how many parts each side is cut.
    """

    feedback: Literal["auto", "explicit", "implicit"] = "auto"
    rank: Positive = 64
    iterations: Annotated[int, Field(ge=0)] = 10
    reg_param: Annotated[float, Field(ge=0)] = 0.2
    reg_exponent: Annotated[float, Field(ge=0)] = 1.0
    alpha: Annotated[float, Field(gt=0)] = 1.0
    confidence: Literal["auto", "linear", "log", "exp"] = "auto"
    unobserved_weight: Annotated[float, Field(gt=0)] | None = None
    ratings: RatingFactorsConfig = RatingFactorsConfig()
    nonnegative: bool = False
    solver: Literal["cg", "cholesky", "subspace"] = "cg"
    cg_steps: Positive = 2
    subspace: Positive = 32
    validation_users: Annotated[int, Field(ge=0)] = 0
    patience: Positive | None = None
    seed: Seed = 1
    start_from: str | None = place(None, "previous")
    exchange: Literal["auto", "broadcast", "shuffle"] = where("auto")
    blocks: Annotated[int, Field(gt=0, le=65536)] | None = where(None)
    checkpoint_every: Positive = where(5)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.patience and not self.validation_users:
            raise ValueError(
                "patience needs validation_users, by whose withheld ratings iterations are compared"
            )
        if not self.iterations and not self.start_from:
            raise ValueError("iterations = 0 folds users into earlier factors: it needs start_from")
        if self.unobserved_weight is not None and self.confidence != "auto":
            raise ValueError(
                "with unobserved_weight each event weighs 1, whatever its confidence: remove one"
            )
        return self


class NeighborRatingsConfig(Model):
    """How ratings are predicted from neighbours: the deviations from `damping`-ed biases of the
    `top_k` most similar items that the user rated, or of the most similar users who rated the item,
    weighted by similarity.

    Similarities are cosines of such deviations, with a `shrinkage` and a `min_support` of their
    own. `prior` is the similarity of one more neighbour that deviates by 0, which few and distant
    ones do not outweigh; `damping` is how many average ratings are added to each user's and each
    item's own (cf/neighborhood.py and spark/biases.py have the formulas).
    """

    top_k: Positive = 40
    shrinkage: Annotated[float, Field(ge=0)] = 50.0
    min_support: Positive = 1
    prior: Annotated[float, Field(ge=0)] = 0.1
    damping: Annotated[float, Field(ge=0)] = 5.0


class CosineConfig(Model):
    """Cosine neighbours of items, of users, or of both: the `top_k` most similar of each.

    Ratings are weighted for lists ("bm25", "tf-idf"; cf/cosine.py has the formulas), or compared as
    they are ("none"), or less their user's or their item's mean (`center = "user"` is the adjusted
    cosine). `weighting = "auto"` is "bm25", but "none" where they are centred, or some are below 0.
    Similarities are multiplied by n / (n + `shrinkage`), for n ratings in common: without it,
    whoever shares one rare item is most alike. Pairs with fewer than `min_support` of them are not
    published. With `max_ratings`, no more than so many ratings count of one user, where items are
    compared, and of one item, where users are; chosen by hash, with `seed`.

    Ratings are predicted by neighbours of their own, as `ratings` says, which no setting before it
    but `max_ratings` changes.
    """

    sides: Annotated[tuple[Literal["items", "users"], ...], Field(strict=False, min_length=1)] = (
        "items",
        "users",
    )
    top_k: Positive = 50
    weighting: Literal["auto", "none", "tf-idf", "bm25"] = "auto"
    center: Literal["none", "user", "item"] = "none"
    shrinkage: Annotated[float, Field(ge=0)] = 10.0
    min_support: Positive = 1
    max_ratings: Annotated[int, Field(ge=2)] | None = None
    ratings: NeighborRatingsConfig = NeighborRatingsConfig()
    seed: Seed = 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.weighting not in ("auto", "none") and self.center != "none":
            raise ValueError(
                f'weighting = "{self.weighting}" is for lists, center = "{self.center}" for'
                " ratings: remove one"
            )
        return self

    def weighted(self, has_negative: bool = False) -> Self:
        """As it is computed: with the weighting that suits the values, where none is said."""
        if self.weighting != "auto":
            return self
        return self.model_copy(
            update={"weighting": "none" if has_negative or self.center != "none" else "bm25"}
        )


class ShardsConfig(Model):
    """What the trainer reads: pictures with their `class`, or with the item's ALS `factors`, split
    by item.

    `test` is the share for measuring classes, of the pictures that do not say themselves whether
    they are for that; with factors, the cold items are for measuring. `val` is the share of all
    others which is set aside for choosing the model. Each set is cut into `num_shards` parts of
    about equal size, or, without that, into as many as `rows_per_shard` asks for.
    """

    task: Literal["class", "factors"]
    val: Fraction = 0.1
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rows_per_shard: Positive = 10_000
    num_shards: Positive | None = None
    seed: Seed = 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.task == "factors" and self.test:
            raise ValueError(
                'with task = "factors" the items of ratings.holdout.cold_items are tested on:'
                " remove test"
            )
        return self


class CnnConfig(Model):
    """The network and how it is trained.

    For factors, the targets are the `components` main components of the standardised factors. Early
    stopping waits `patience` epochs for a better one, and the best epoch's weights are kept in any
    case: of classes the most accurate, of factors that of the smallest loss. Without `patience` it
    waits for 8 where the learning rate is constant, and for none where it falls to the end, for
    which the last epochs are there. While training, pictures are moved by up to `shift` pixels, and
    mirrored at random with `flip`; where it is not set, they are for factors, but not for classes,
    which may be each other's mirror image. An epoch is cut into `streams`, and rows are permuted
    within pools of `pool` row groups. `workers` processes, here or on Spark's executors, train on
    `replicas` devices each; the timeouts are the seconds that one of them may take to start, be
    silent, finish no step, or save when it is asked to stop.
    """

    model: Literal["cifar", "resnet"] = "cifar"
    epochs: Positive = 40
    global_batch_size: Positive = 32
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    xla: bool = False
    patience: Positive | None = None
    flip: bool | None = None
    shift: Annotated[int, Field(ge=0)] = 0
    components: Positive = 8
    streams: Positive = 8
    pool: Positive = 4
    deterministic: bool = True
    seed: Seed = 1
    checkpoint_steps: Positive = where(500)
    keep_checkpoints: Positive = where(2)
    verify: bool = where(True)
    reader_threads: Positive = where(2)
    workers: Positive = where(1)
    replicas: Positive = where(1)
    launcher: Literal["local", "spark"] = where("local")
    max_restarts: Annotated[int, Field(ge=0)] = where(3)
    start_timeout: Seconds = where(45.0)
    silence_timeout: Seconds = where(40.0)
    stall_timeout: Seconds = where(600.0)
    stop_timeout: Seconds = where(60.0)

    @property
    def waits(self) -> int:
        """How many epochs early stopping waits for a better one."""
        return self.patience or (8 if self.schedule == "constant" else self.epochs)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.global_batch_size % self.streams:
            near = _nearest(self.global_batch_size, self.streams)
            raise ValueError(
                f"streams = {self.streams} does not divide global_batch_size ="
                f" {self.global_batch_size}; the nearest are {near}"
            )
        if self.streams % (self.workers * self.replicas):
            near = " and ".join(str(n) for n in range(1, self.streams + 1) if self.streams % n == 0)
            workers = (
                f"workers * replicas = {self.workers} * " if self.workers > 1 else "replicas = "
            )
            raise ValueError(
                f"{workers}{self.replicas} does not divide streams = {self.streams}; {near} do"
            )
        if self.xla and self.deterministic and self.model == "cifar":
            raise ValueError(
                "XLA has no deterministic gradient of max pooling: remove xla, or set deterministic"
                " = false"
            )
        if self.xla and self.model == "resnet" and self.workers * self.replicas > 1:
            raise ValueError(
                "XLA does not synchronise batch normalisation between replicas: remove xla, or"
                " train on one replica"
            )
        return self


def _nearest(size: int, streams: int) -> str:
    below = size // streams * streams
    return " and ".join(str(n) for n in (below, below + streams) if n)


class PredictConfig(Model):
    """What the trained network says of every item with a picture."""

    batch_size: Positive = where(256)


class ForestConfig(Model):
    """A random forest on the network's embeddings."""

    num_trees: Positive = 50
    max_depth: Annotated[int, Field(ge=1, le=30)] = 12
    seed: Seed = 1


class ItemListConfig(TextConfig):
    """Items by their outside ids: the column `item_id` of CSV, JSON or Parquet files.

    In a text file with an id a line and no header, `header = false` and `item_id = 1`.
    """

    item_id: str | Positive = "item_id"
    ids: Literal["text", "integer"] = "text"
    clean_ids: IdPatterns = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.header and isinstance(self.item_id, str):
            raise ValueError(
                "without a header, columns are positions counted from 1, not names: set item_id = 1"
            )
        return self

    def rules(self) -> AttributeRules:
        """What an id of the list is, as Spark's workers take it."""
        return AttributeRules(
            frozenset({"id"}), texts=self.text_rules(), ids=_id_rules(self.ids, self.clean_ids)
        )


class RecommendConfig(Model):
    """Top-k lists for every user: by `model` where it has an answer, filled up with what is
    popular.

    Where the pipeline predicts factors, items without ratings compete by those, and `cold_share` of
    each list's places are set aside for them. With `candidates`, a file's path or an item list,
    only those items are recommended (what is in stock); those in `exclude` never are (what is
    recalled).
    """

    model: Literal["als", "item-neighbors", "user-neighbors"] = "als"
    top_k: Positive = 10
    cold_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    candidates: ItemListConfig | None = None
    exclude: ItemListConfig | None = None

    @property
    def limits_items(self) -> bool:
        """Whether a list says which items may be recommended."""
        return self.candidates is not None or self.exclude is not None

    @field_validator("candidates", "exclude", mode="before")
    @classmethod
    def _path_alone(cls, items: Any) -> Any:
        return {"path": items} if isinstance(items, str) else items


class EvaluateConfig(Model):
    """How recommendations are measured on the holdout: at which `k`, and from which value on a
    held-out rating is relevant.

    `cold_k` is for the lists of cold items only, by the factors that their pictures predict.
    `damping` is that of the biases which predicted ratings are measured beside: how many average
    ratings are added to each user's and each item's own.
    """

    k: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (10,)
    cold_k: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (20,)
    relevant_from: float | None = None
    damping: Annotated[float, Field(ge=0)] = 5.0
    seed: Seed = 1


class PublishConfig(Model):
    """What `emberline publish --config` does: no stage of the pipeline, but what comes after it.

    With `default_gates`, nothing is published that a trivial answer is better than, besides what
    `gates` ask.
    """

    to: str | None = place(None)
    tables: Annotated[tuple[str, ...], Field(strict=False)] = ()
    gates: Annotated[tuple[str, ...], Field(strict=False)] = ()
    default_gates: bool = True
    keep: Positive = 3


class ReportConfig(Model):
    """One HTML page about the run; `users` people are shown with their history and their
    recommendations.
    """

    title: str = "Emberline report"
    users: Annotated[int, Field(ge=0)] = 6
    seed: Seed = 1


class Config(Model):
    """A whole pipeline. A section that is there is a stage that runs; `spark` says where,
    `publish` what follows.
    """

    root: str = place("runs")
    spark: SparkConfig = where(SparkConfig())
    shop: ShopConfig | None = None
    ratings: RatingsConfig | None = None
    attributes: AttributesConfig | None = None
    images: ImagesConfig | None = None
    als: AlsConfig | None = None
    cosine: CosineConfig | None = None
    shards: ShardsConfig | None = None
    cnn: CnnConfig | None = None
    predict: PredictConfig | None = None
    forest: ForestConfig | None = None
    recommend: RecommendConfig | None = None
    evaluate: EvaluateConfig | None = None
    report: ReportConfig | None = None
    publish: PublishConfig = where(PublishConfig())

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
    def als_for_lists(self) -> AlsConfig:
        """[als] as the fit that makes lists has it: with the confidence that suits the values,
        where none is said.
        """
        als = self.als or AlsConfig()
        return (
            als.model_copy(update={"confidence": "exp"})
            if als.confidence == "auto" and self.has_ratings
            else als
        )

    @property
    def als_for_ratings(self) -> AlsConfig:
        """[als] as the fit that predicts ratings has it, by what [als.ratings] says."""
        als = self.als or AlsConfig()
        own = {
            "rank": als.ratings.rank,
            "reg_param": als.ratings.reg_param,
            "unobserved_weight": None,
        }
        return als.model_copy(
            update=own | {"nonnegative": als.nonnegative and not als.ratings.biases}
        )

    @property
    def predicts_factors(self) -> bool:
        """Whether the pipeline predicts ALS factors from pictures."""
        return (
            self.predict is not None and self.shards is not None and self.shards.task == "factors"
        )

    @property
    def recommends_unrated_items(self) -> bool:
        """Whether lists hold items without ratings, by the factors that their pictures predict."""
        return (
            self.predicts_factors and self.recommend is not None and self.recommend.model == "als"
        )

    @property
    def predicts_classes(self) -> bool:
        """Whether the pipeline predicts classes from pictures."""
        return self.predict is not None and self.shards is not None and self.shards.task == "class"

    @property
    def measures_cold_items(self) -> bool:
        """Whether factors predicted from pictures can be measured on items that were withheld
        whole.
        """
        return (
            self.predicts_factors
            and self.ratings is not None
            and self.ratings.holdout.cold_items > 0
        )

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        if self.cosine:
            self._cosine_fits(self.cosine)
        self._network_fits()
        if self.recommend:
            self._recommend_fits(self.recommend)
        if self.evaluate:
            self._evaluate_fits(self.evaluate)
        return self

    def _cosine_fits(self, cosine: CosineConfig) -> None:
        if cosine.center != "none" and self.ratings and self.ratings.value != "rating":
            raise ValueError(
                f'cosine.center = "{cosine.center}" is for ratings; events have no mean to differ'
                " from: remove it"
            )

    def _network_fits(self) -> None:
        """Each section from the pictures to the forest needs those before it."""
        if self.shards:
            self._needs("shards", "images")
            if self.shards.task == "factors":
                self._needs('shards.task = "factors"', "als", "ratings")
                self._makes_lists('shards.task = "factors"')
        if self.cnn:
            self._needs("cnn", "shards")
        if self.predict:
            self._needs("predict", "cnn")
        if self.forest:
            self._needs("forest", "predict")
            if not self.predicts_classes:
                raise ValueError('[forest] learns classes: it needs shards.task = "class"')

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
        if recommend.model == "als" and not self.als:
            raise ValueError('recommend.model = "als" needs a section [als]')
        if recommend.model == "als":
            self._makes_lists('recommend.model = "als"')
        side = recommend.model.replace("-neighbors", "s")
        if recommend.model != "als" and (not self.cosine or side not in self.cosine.sides):
            raise ValueError(
                f'recommend.model = "{recommend.model}" needs a section [cosine] whose sides hold'
                f' "{side}"'
            )
        if recommend.cold_share and not self.recommends_unrated_items:
            raise ValueError(
                'recommend.cold_share needs recommend.model = "als", shards.task = "factors" and a'
                " section [predict]"
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
        if self.recommend and self.ratings and self.ratings.holdout.by == "none":
            raise ValueError("[evaluate] needs held-out ratings: set ratings.holdout.by")
