"""The shop's log of sales, as the CSV file that a shop would hand over: ordered by time, and a
little dirty.
"""

import csv
import io
from dataclasses import dataclass

import numpy as np

from emberline.shop import dirt
from emberline.shop.catalogue import Catalogue
from emberline.shop.sales import Sales, make_sales
from emberline.shop.streams import stream

HEADER = ("time", "customer", "product", "title", "quantity")


@dataclass(frozen=True)
class Events:
    """csv: UTF-8 text with a header line. dirty_counts: how many lines are dirty in which way;
    none is dirty in two ways.
    """

    csv: bytes
    dirty_counts: dict[str, int]


def make_events(catalogue: Catalogue, num_users: int, num_events: int, seed: int) -> Events:
    """A log of `num_events` lines, dirty ones counted, the header not; the same arguments make
    the same bytes.
    """
    each = dirt.amount(num_events)
    sales = make_sales(catalogue, num_users, num_events - each, seed)
    customers = customer_ids(num_users, seed)
    lines, dirty_counts = dirt.spoil(
        _lines(catalogue, customers, sales), each, stream(seed, "dirt")
    )
    return Events(_to_csv(lines), dirty_counts)


def customer_ids(num_users: int, seed: int) -> list[str]:
    """Of all customers, in the order of their numbers."""
    return _customer_ids(num_users, stream(seed, "customer ids"))


def _customer_ids(num_users: int, rng: np.random.Generator) -> list[str]:
    """Account numbers with gaps, in no order."""
    start = 10_000
    return [
        f"c{number}"
        for number in start + rng.choice(max(90_000, 2 * num_users), size=num_users, replace=False)
    ]


def _lines(catalogue: Catalogue, customers: list[str], sales: Sales) -> list[dirt.Line]:
    times = np.strings.replace(sales.time.astype(str), "T", " ")
    columns = (
        times.tolist(),
        sales.customer.tolist(),
        sales.item.tolist(),
        sales.quantity.tolist(),
    )
    return [
        [time, customers[customer], catalogue.item_ids[item], catalogue.titles[item], str(quantity)]
        for time, customer, item, quantity in zip(*columns, strict=True)
    ]


def _to_csv(lines: list[dirt.Line]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([HEADER, *lines])
    return text.getvalue().encode()
