"""Titles of items: what can be seen, as words, then a made-up model name that no other item has."""

import numpy as np

_FIRST = (
    "Al",
    "Bel",
    "Cor",
    "Dar",
    "El",
    "Fen",
    "Gal",
    "Hol",
    "Il",
    "Jun",
    "Kes",
    "Lor",
    "Mar",
    "Nor",
    "Os",
    "Per",
    "Quin",
    "Ros",
)
_MIDDLE = ("a", "e", "i", "o", "u", "ali", "ane", "ela", "eri", "ino", "ola", "ori", "una", "ure")
_LAST = (
    "bra",
    "dine",
    "fort",
    "gard",
    "lin",
    "mont",
    "nel",
    "ra",
    "ry",
    "sten",
    "ta",
    "tor",
    "va",
    "vik",
    "wen",
    "zo",
)
_CURIOUS = (
    "{words}, {name}",
    '{words} "{name}"',
    '{words}, "{name}", boxed',
    "{words} {name} & Co",
    "{words} {name} <new>",
    "{words} {name} à la mode",
    "{words} {name} Größe 3",
)
_ITEMS_PER_CURIOUS_FORM = 2


def titles(words: list[str], rng: np.random.Generator) -> list[str]:
    """One title per entry of `words`, all different; a handful need quoting in CSV, or escaping
    in HTML, or more than ASCII.
    """
    forms = _forms(len(words), rng)
    names = _model_names(len(words), rng)
    return [
        form.format(words=seen, name=name)
        for form, seen, name in zip(forms, words, names, strict=True)
    ]


def _forms(count: int, rng: np.random.Generator) -> list[str]:
    forms = np.full(count, "{words} {name}", dtype=object)
    curious = np.array(_CURIOUS * _ITEMS_PER_CURIOUS_FORM, dtype=object)[:count]
    forms[rng.permutation(count)[: len(curious)]] = curious
    return [str(form) for form in forms]


def _model_names(count: int, rng: np.random.Generator) -> list[str]:
    total = len(_FIRST) * len(_MIDDLE) * len(_LAST)
    order = rng.permutation(total)
    return [_model_name(int(order[n % total]), n // total) for n in range(count)]


def _model_name(number: int, edition: int) -> str:
    """Three syllables; from the second edition on a number keeps the name unique."""
    rest, last = divmod(number, len(_LAST))
    first, middle = divmod(rest, len(_MIDDLE))
    name = _FIRST[first] + _MIDDLE[middle] + _LAST[last]
    return name if edition == 0 else f"{name} {edition + 1}"
