"""What fills lists up: what is popular with all, or among people who have something in common."""

from functools import partial

from emberline.cf import segments
from emberline.cf.segments import COUNTS, MEMBERS, Fillers, Members
from emberline.scoring import completion
from emberline.scoring.models.offers import Known
from emberline.scoring.sources import distinct
from emberline.sections.recommend import RecommendConfig, SegmentsConfig


def fillers(known: Known, config: RecommendConfig) -> Fillers:
    """By all ratings of what may be listed, and by those of each segment, where the pipeline has
    segments.
    """
    with_all = completion.popular(known.listed("ratings"))
    if config.segments is None:
        return Fillers(with_all)
    found = _members(known, config.segments)
    count = partial(segments.count, members=found)
    counts = known.listed("ratings").map(("item", "user"), count, COUNTS).table()
    each = segments.popular_in_each(counts, with_all, found.count)
    return Fillers(with_all, found.users, found.segments, each)


def _members(known: Known, config: SegmentsConfig) -> Members:
    said = known.tables["user_attributes"]
    table = said.map(("user", config.attribute), segments.members, MEMBERS).table()
    rated = distinct(known.tables["ratings"], "user")
    users, hashes = (column.to_numpy() for column in table.columns)
    return Members.of(users, hashes, rated, config.min_support)
