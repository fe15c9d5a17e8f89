"""What fills lists up: what is popular with all, or among people who have something in common."""

from emberline.cf import segments
from emberline.cf.segments import Fillers
from emberline.scoring import popularity
from emberline.scoring.models.offers import Known
from emberline.sections.recommend import RecommendConfig


def fillers(known: Known, config: RecommendConfig) -> Fillers:
    """By all ratings of what may be listed, and by those of each segment, where the pipeline has
    segments; of items that enough users have rated.
    """
    with_all = popularity.popular(known)
    if config.segments is None:
        return Fillers(with_all)
    members, counts = popularity.in_segments(known, config.segments)
    each = segments.popular_in_each(counts, with_all, members.count)
    return Fillers(with_all, members.users, members.segments, each)
