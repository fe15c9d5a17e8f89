"""What manifests say of what is kept back from readers: what too few people stand behind, and the
noise that counts have.
"""

from dataclasses import dataclass

from emberline.datasets.info import Facts


@dataclass(frozen=True)
class TooFewUsers(Facts):
    """What was left out since fewer than `min_users` users stand behind it: `left_out` of so many
    `candidates`; of pairs, among the candidates of `rows` rows.
    """

    min_users: int
    candidates: int
    left_out: int
    rows: int | None = None


@dataclass(frozen=True)
class NoisyCounts(Facts):
    """How noise was drawn for a table of counts: its distribution's name and scale, where keys are
    unknown the least count that is shown, how much one person adds at most, and what that costs.
    """

    mechanism: str
    scale: float
    threshold: int | None
    per_user: int
    epsilon: float
    delta: float


@dataclass(frozen=True)
class Budget(Facts):
    """What draws of noise in a root have cost together, the tables of this one among them: how many
    there were, when the last was (ISO 8601), and what they may cost.
    """

    draws: int
    drawn: str
    spent_epsilon: float
    spent_delta: float
    budget: float


KEPT_BACK: tuple[type[Facts], ...] = (TooFewUsers, NoisyCounts, Budget)
