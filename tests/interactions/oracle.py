"""An oracle of what is left when users and items with too few ratings are dropped."""

from collections import Counter

Pair = tuple[str, str]


def core_of(pairs: set[Pair], min_user: int, min_item: int) -> tuple[set[Pair], int]:
    """What is left when users and items under their minimum go, and after how many rounds
    nothing more goes.
    """
    rounds = 0
    while True:
        users = Counter(user for user, _ in pairs)
        left = {pair for pair in pairs if users[pair[0]] >= min_user}
        items = Counter(item for _, item in left)
        left = {pair for pair in left if items[pair[1]] >= min_item}
        if left == pairs:
            return pairs, rounds
        pairs, rounds = left, rounds + 1
