"""The made-up log of sales, read back with Python's own csv module."""

import csv
import io
from collections import Counter
from datetime import datetime

import numpy as np
import pytest

from emberline.shop.catalogue import Catalogue, make_catalogue
from emberline.shop.events import Events, make_events
from emberline.shop.sales import Sales, make_sales

NUM_USERS, NUM_EVENTS = 500, 20_000
Row = list[str]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return make_catalogue(400, seed=7)


@pytest.fixture(scope="module")
def events(catalogue: Catalogue) -> Events:
    return make_events(catalogue, NUM_USERS, NUM_EVENTS, seed=7)


@pytest.fixture(scope="module")
def rows(events: Events) -> list[Row]:
    return list(csv.reader(io.StringIO(events.csv.decode(), newline="")))[1:]


@pytest.fixture(scope="module")
def clean(rows: list[Row]) -> list[Row]:
    return [row for row, fault in zip(rows, _faults(rows), strict=True) if fault is None]


@pytest.fixture(scope="module")
def sales(catalogue: Catalogue) -> Sales:
    return make_sales(catalogue, NUM_USERS, NUM_EVENTS, seed=7)


def _faults(rows: list[Row]) -> list[str | None]:
    """What is wrong with each row, as a careful reader would find out."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for row in rows:
        found.append(_fault(row) or ("duplicate" if tuple(row) in seen else None))
        seen.add(tuple(row))
    return found


def _fault(row: Row) -> str | None:
    if len(row) != 5:
        return "torn"
    time, customer, product, _, quantity = row
    if not customer:
        return "customer missing"
    if not product:
        return "product missing"
    return _fault_of_time(time) or _fault_of_quantity(quantity)


def _fault_of_time(time: str) -> str | None:
    try:
        datetime.strptime(time, "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "time impossible"
    return None


def _fault_of_quantity(quantity: str) -> str | None:
    try:
        return None if int(quantity) > 0 else "quantity not positive"
    except ValueError:
        return "quantity not a number"


def test_the_same_arguments_make_the_same_bytes(catalogue: Catalogue, events: Events) -> None:
    assert make_events(catalogue, NUM_USERS, NUM_EVENTS, seed=7) == events


def test_another_seed_makes_another_log(catalogue: Catalogue, events: Events) -> None:
    assert make_events(catalogue, NUM_USERS, NUM_EVENTS, seed=8).csv != events.csv


def test_the_log_has_a_header_and_as_many_lines_as_were_asked_for(
    events: Events, rows: list[Row]
) -> None:
    assert events.csv.startswith(b"time,customer,product,title,quantity\n")
    assert events.csv.endswith(b"\n")
    assert events.csv.count(b"\n") == 1 + NUM_EVENTS == 1 + len(rows)


def test_the_log_is_as_dirty_as_it_says(events: Events, rows: list[Row]) -> None:
    assert Counter(fault for fault in _faults(rows) if fault) == events.dirty_counts


def test_each_kind_of_dirt_is_one_and_a_half_per_cent(events: Events) -> None:
    assert events.dirty_counts == dict.fromkeys(events.dirty_counts, NUM_EVENTS * 15 // 1000)
    assert len(events.dirty_counts) == 7


def test_lines_come_in_the_order_of_time(clean: list[Row]) -> None:
    times = [row[0] for row in clean]
    assert times == sorted(times)
    assert {time[:4] for time in times} == {"2025"}
    assert len({time[:10] for time in times}) == 365


def test_titles_survive_the_csv(catalogue: Catalogue, clean: list[Row]) -> None:
    titles = dict(zip(catalogue.item_ids, catalogue.titles, strict=True))
    assert all(titles[product] == title for _, _, product, title, _ in clean)
    assert {character for character in ',"&<à' if any(character in row[3] for row in clean)} == set(
        ',"&<à'
    )


def test_no_two_sales_share_a_second(sales: Sales) -> None:
    assert np.diff(sales.time).min() >= np.timedelta64(1, "s")


def test_customers_come_back_over_the_year(sales: Sales) -> None:
    months = sales.time.astype("datetime64[M]").astype(np.int64)
    assert len(set(zip(sales.customer.tolist(), months.tolist(), strict=True))) > 6 * NUM_USERS


def test_quantities_are_small_and_mostly_one(sales: Sales) -> None:
    assert sales.quantity.min() == 1
    assert sales.quantity.max() < 10
    assert 0.8 < np.mean(sales.quantity == 1) < 0.95


def test_every_customer_buys_a_few_items_and_some_buy_many(sales: Sales) -> None:
    activity = np.bincount(sales.customer, minlength=NUM_USERS)
    assert activity.sum() == NUM_EVENTS
    assert activity.min() >= 5
    assert 22 < np.median(activity) < 32
    assert activity.max() > 5 * np.median(activity)


def test_few_items_hold_much_of_the_sales(sales: Sales) -> None:
    sold = np.sort(np.bincount(sales.item, minlength=400))[::-1]
    assert sold[:40].sum() > 0.35 * sold.sum()
    assert np.count_nonzero(sold) > 390


def test_customers_buy_some_items_again(sales: Sales) -> None:
    distinct = len(np.unique(np.stack([sales.customer, sales.item]), axis=1).T)
    assert 0.1 < 1 - distinct / NUM_EVENTS < 0.5


def test_customers_keep_to_shapes_and_textures_more_than_to_colours(
    catalogue: Catalogue, sales: Sales
) -> None:
    shape, texture, colour = (
        _loyalty(sales, kind) for kind in (catalogue.shape, catalogue.texture, catalogue.colour)
    )
    assert min(shape, texture) > colour > 1.05


def test_customers_keep_to_what_no_picture_shows(catalogue: Catalogue, sales: Sales) -> None:
    assert _loyalty(sales, (catalogue.hidden[:, 0] > 0).astype(np.int64)) > 1.02


def test_more_customers_than_events_still_make_a_log(catalogue: Catalogue) -> None:
    events = make_events(catalogue, num_users=300, num_events=200, seed=1)
    assert events.csv.count(b"\n") == 201


def _loyalty(sales: Sales, kind: np.ndarray) -> float:
    """How much likelier two items of one customer are of one kind than two items of any
    customers; 1 is no taste at all.
    """
    bought = np.unique(np.stack([sales.customer, sales.item]), axis=1)
    table = np.zeros((NUM_USERS, kind.max() + 1))
    np.add.at(table, (bought[0], kind[bought[1]]), 1)
    within = (table * (table - 1)).sum() / (table.sum(axis=1) * (table.sum(axis=1) - 1)).sum()
    overall = ((table.sum(axis=0) / table.sum()) ** 2).sum()
    return float(within / overall)
