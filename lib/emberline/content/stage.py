"""The stage train-content: what is said of items (words, categories, numbers) predicts their
factors, for items that nobody has rated yet; and what is known of users theirs, for users who have
rated nothing yet. What is said here of items is done for users in the same way.

    factors = ridge regression on features of being like some landmarks, each kernel that has
              proved itself counting alike (cf/content)

Modalities prove themselves on a sample of items in training, folds of which are left out in turn:
by how well users rank those, and of users by how well each item's are found among all. The
regression itself is from sums over all items, merged part by part. Where a network predicts factors
from pictures, these are added, as far as they prove themselves in the same way, on items that the
network has not learnt from (cf/content/fusion). And it is tried how likely new items are to be
liked beside rated ones (calibrating), so that both can stand in one list. Where nothing that is
said proves itself, nothing is predicted, and the log and the report say so: a nightly run goes on
without.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from emberline.cf.content import fusion, regression, tasks
from emberline.cf.content.model import Model as Fitted
from emberline.cf.content.model import Nystrom
from emberline.cf.content.selection import Choice
from emberline.cf.ridge import Moments
from emberline.content import pictures
from emberline.content.calibrating import calibration, without_their_folds
from emberline.content.gathering import drawn, gathered, statistics
from emberline.content.learning import chosen, fit_of, moments_of
from emberline.datasets.facts import Attributes, Content
from emberline.datasets.info import Facts
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows
from emberline.logs import event
from emberline.models import ALS, CONTENT, CONTENT_USER, Model
from emberline.runs.stage_run import StageRun
from emberline.scoring import calibrations, content_model
from emberline.sections.content import ContentConfig

log = logging.getLogger(__name__)
_LEAST_RATINGS = 3  # of a sampled item, whose factors are sure enough to judge by
_ENOUGH = 100  # such items


@dataclass(frozen=True)
class _Side:
    """One of both sides: the tables that say something of it and that have its factors, those of
    the other side, and what is written, by which model.
    """

    name: str
    attributes: str
    factors: str
    others: str
    table: str
    model: Model


_SIDES = {
    "item": _Side(
        "item",
        "item_attributes",
        ALS.lists[1],
        ALS.lists[0],
        CONTENT.new_items[0],
        CONTENT,
    ),
    "user": _Side(
        "user",
        "user_attributes",
        ALS.lists[0],
        ALS.lists[1],
        CONTENT_USER.new_users[0],
        CONTENT_USER,
    ),
}


def run(run: StageRun[ContentConfig], flow: Flow) -> None:
    """Learn of each side that something is said of."""
    for side in _SIDES.values():
        if side.attributes in run.inputs:
            _learn(run, flow, side)


def _learn(run: StageRun[ContentConfig], flow: Flow, side: _Side) -> None:
    """Gather, choose, fit, predict and write."""
    config = run.settings
    attributes, factors, others, ratings = (
        flow.read(run.inputs[name])
        for name in (side.attributes, side.factors, side.others, "ratings")
    )
    columns = content_model.columns_of(run.inputs[side.attributes].manifest.facts(Attributes))
    known = gathered(flow, attributes, factors, ratings, side.name).kept()
    sample = _sample(known, config, side)
    said = statistics(known, sample, columns)
    if not said.frequencies and not said.numbers:
        raise EmptyDatasetError(
            f"{side.attributes} tell no {side.name} from another: every column is empty or the same"
            " everywhere; name columns of genres, tags, titles, texts, labels, numbers, categories"
            f" or lists in [attributes.{side.name}s]"
        )
    choice = chosen(side.name, sample, others, ratings, said, config.seed, flow.threads)
    rank = run.inputs[side.factors].manifest.rank or 0
    if choice.weights:
        landmarks = drawn(known, config.landmarks, 1, config.seed)
        fit = fit_of(landmarks, choice, said)
        moments = moments_of(flow, known, fit, rank)
        model, told = _finished(run, flow, side, known, sample, fit, moments, choice)
        _keep(run, side, landmarks, model)
        _predict(run, flow, side, known, model, told)
    else:
        _predict_nothing(run, side, choice, rank)
    known.free()


def _predict_nothing(run: StageRun[ContentConfig], side: _Side, choice: Choice, rank: int) -> None:
    log.warning(event("attributes_unproven", tried=_tried(choice), table=side.table))
    for name in side.model.kept:
        run.outputs.add(name, [])
    run.outputs.add(side.table, [], _told(choice), rank=rank, seed=run.settings.seed)


def _finished(
    run: StageRun[ContentConfig],
    flow: Flow,
    side: _Side,
    known: Rows,
    sample: pa.RecordBatch,
    fit: Nystrom,
    moments: Moments,
    choice: Choice,
) -> tuple[Fitted, tuple[Facts, ...]]:
    """The model, with pictures where these prove themselves, and what its manifest says."""
    config, penalty = run.settings, choice.penalty
    model = fit.fitted(regression.solve(moments, penalty))
    if side.model is not CONTENT:
        return model, (_told(choice),)
    new = without_their_folds(sample, fit, moments, penalty)
    if pictures.PREDICTED in run.inputs:
        tables = {name: flow.read(run.inputs[name]) for name in run.inputs}
        unlearnt = pictures.unlearnt(tables, known, fit, moments, penalty, config)
        if unlearnt is not None:
            seen, proof = fusion.weighed(unlearnt.held, config.seed)
            model = replace(model, pictures=seen)
            choice = replace(choice, proofs=(*choice.proofs, proof))
            new = new if seen is None else unlearnt.as_new(seen, new.centre)
    calibrated = calibration(run, flow, new, config.seed)
    return model, (_told(choice), calibrations.told(calibrated))


def _predict(
    run: StageRun[ContentConfig],
    flow: Flow,
    side: _Side,
    known: Rows,
    model: Fitted,
    told: tuple[Facts, ...],
) -> None:
    shared, schema = flow.share(model), TABLES[side.table]
    task = partial(tasks.predict, model=shared, name=side.model.name, schema=schema)
    found = known.map(task, schema)
    if model.pictures:
        seen = flow.read(run.inputs[pictures.PREDICTED])
        found = pictures.added(flow, found, seen, model.pictures)
    outputs.write(found, run, side.table, *told, rank=len(model.mean), seed=run.settings.seed)
    shared.destroy()


def _keep(
    run: StageRun[ContentConfig], side: _Side, landmarks: pa.RecordBatch, model: Fitted
) -> None:
    """The model as tables."""
    marks, tokens = side.model.kept
    table = content_model.landmarks_table(landmarks, model, side.name)
    facts, rank = content_model.told(model), len(model.mean)
    outputs.write_here(table, run, marks, *facts, rank=rank, seed=run.settings.seed)
    outputs.write_here(content_model.tokens_table(model), run, tokens)


def _sample(known: Rows, config: ContentConfig, side: _Side) -> pa.RecordBatch:
    """Items, or users, with factors, of a few ratings at least where there are enough of these."""
    for least_ratings in (_LEAST_RATINGS, 1):
        sample = drawn(known, config.sample, least_ratings, config.seed)
        if sample.num_rows >= _ENOUGH:
            return sample
    if not sample.num_rows:
        raise EmptyDatasetError(
            f"nothing is said of any {side.name} in training: none of {side.attributes} has"
            f" factors; compare the ids in [attributes.{side.name}s] with those of the ratings"
        )
    return sample


def _tried(choice: Choice) -> str:
    return ", ".join(" x ".join(proof.modality) for proof in choice.proofs)


def _told(choice: Choice) -> Content:
    proofs = [
        {
            "modality": " x ".join(proof.modality),
            "weight": proof.weight,
            "gain": proof.gain,
            "z": proof.z,
            "is_used": proof.is_used,
        }
        for proof in choice.proofs
    ]
    return Content(dict(choice.weights), choice.penalty, choice.area, proofs)
