"""The stage train-content: what is said of items (words, categories, numbers) predicts their
factors, for items that nobody has rated yet.

    factors = ridge regression on features of being like some landmarks, each kernel that has
              proved itself counting alike (cf/content)

Modalities prove themselves on a sample of items in training, folds of which are left out in turn;
the regression itself is from sums over all items, merged part by part. Where none does, nothing is
predicted, and the log and the report say so: a nightly run goes on without.
"""

import logging
from functools import partial

import pyarrow as pa

from emberline.cf.content import tasks
from emberline.cf.content.selection import Choice
from emberline.cf.content.tasks import PREDICTED
from emberline.content.gathering import drawn, gathered, statistics
from emberline.content.learning import chosen, model_of, weights_of
from emberline.datasets.facts import Attributes, Content
from emberline.errors import EmptyDatasetError
from emberline.flow import outputs
from emberline.flow.rows import Flow, Rows
from emberline.logs import event
from emberline.models import ALS, CONTENT
from emberline.runs.stage_run import StageRun
from emberline.sections.content import ContentConfig

log = logging.getLogger(__name__)
_LEAST_RATINGS = 3  # of a sampled item, whose factors are sure enough to judge by
_ENOUGH = 100  # such items


def run(run: StageRun[ContentConfig], flow: Flow) -> None:
    """Gather, choose, fit, predict and write."""
    config = run.settings
    sources = {name: flow.read(run.inputs[name]) for name in run.inputs}
    users, items = (sources[name] for name in ALS.lists)
    names = tuple(run.inputs["item_attributes"].manifest.facts(Attributes).numbers)
    known = gathered(flow, sources["item_attributes"], items, sources["ratings"]).kept()
    sample = _sample(known, config)
    said = statistics(known, sample, names)
    if not said.frequencies and not said.numbers:
        raise EmptyDatasetError(
            "item_attributes tell no item from another: every column is empty or the same"
            " everywhere; name columns of genres, tags, titles, texts, labels or numbers in"
            " [attributes.items]"
        )
    choice = chosen(sample, users, sources["ratings"], names, said, config.seed, flow.threads)
    (table,) = CONTENT.new_items
    rank = run.inputs[ALS.lists[1]].manifest.rank or 0
    if not choice.blocks:
        log.warning(event("attributes_unproven", tried=_tried(choice), table=table))
        run.outputs.add(table, [], _told(choice), rank=rank, seed=config.seed)
        return
    landmarks = drawn(known, config.landmarks, 1, config.seed)
    model = flow.share(model_of(landmarks, choice, names, said))
    weights = weights_of(known, model, rank, choice.penalty)
    task = partial(tasks.predict, model=model, weights=weights, name=CONTENT.name)
    predicted, facts = known.map(task, PREDICTED), _told(choice)
    outputs.write(predicted, run, table, facts, rank=rank, seed=config.seed)
    known.free()


def _sample(known: Rows, config: ContentConfig) -> pa.RecordBatch:
    """Items with factors, of a few ratings at least where there are enough of these."""
    for least_ratings in (_LEAST_RATINGS, 1):
        sample = drawn(known, config.sample, least_ratings, config.seed)
        if sample.num_rows >= _ENOUGH:
            return sample
    if not sample.num_rows:
        raise EmptyDatasetError(
            "nothing is said of any item in training: none of item_attributes has factors; compare"
            " the ids in [attributes.items] with those of the ratings"
        )
    return sample


def _tried(choice: Choice) -> str:
    return ", ".join(" x ".join(proof.modality) for proof in choice.proofs)


def _told(choice: Choice) -> Content:
    proofs = [
        {
            "modality": " x ".join(proof.modality),
            "gain": proof.gain,
            "z": proof.z,
            "is_used": proof.is_used,
        }
        for proof in choice.proofs
    ]
    return Content(list(choice.blocks), choice.penalty, choice.area, proofs)
