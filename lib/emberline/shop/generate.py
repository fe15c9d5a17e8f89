"""The stage generate-shop: the demo's raw files, `events.csv`, `customers.csv` and
`pictures.parquet`, or `sounds.parquet`, as the artifact `shop`.
"""

import pyarrow as pa

from emberline.datasets.facts import Shop
from emberline.datasets.parts import write_file, write_part
from emberline.runs.stage_run import StageRun
from emberline.sections.shop import ShopConfig
from emberline.shop import sounds
from emberline.shop.catalogue import SHAPES, Catalogue, looks, make_catalogue
from emberline.shop.customers import make_customers
from emberline.shop.descriptions import describe
from emberline.shop.events import customer_ids, make_events
from emberline.shop.pictures import draw, encode_png
from emberline.shop.sales import tastes_of

_KNOWN = [
    ("item_id", pa.string()),
    ("title", pa.string()),
    ("category", pa.string()),
    ("price", pa.float64()),
    ("description", pa.string()),
]
_PICTURES = pa.schema([*_KNOWN, ("shape", pa.string()), ("picture", pa.binary())])
_SOUNDS = pa.schema([*_KNOWN, ("rhythm", pa.string()), ("sound", pa.binary())])


def run(run: StageRun[ShopConfig]) -> None:
    """Generate the catalogue, draw or play it, let customers buy, and draw or play what is to be
    sold next.
    """
    config = run.settings
    words, table, schema = {
        "pictures": (looks, _pictures, _PICTURES),
        "sounds": (sounds.words, _sounds, _SOUNDS),
    }[config.of]
    catalogue = make_catalogue(config.num_items, config.seed, words=words)
    arrivals = make_catalogue(config.num_new_items, config.seed + 1, prefix="N", words=words)
    events = make_events(catalogue, config.num_users, config.num_events, config.seed)
    tastes = tastes_of(catalogue, config.num_users, config.seed)
    people = customer_ids(config.num_users, config.seed)
    customers = make_customers(people, config.num_new_users, tastes.customers, config.seed)
    folder = run.outputs.folder("shop")
    parts = [
        write_file(events.csv, folder, "events.csv"),
        write_file(customers, folder, "customers.csv"),
        write_part(map(table, filter(len, (catalogue, arrivals))), folder, config.of, schema),
    ]
    run.outputs.add(
        "shop", parts, Shop(generated=True, dirty_lines=events.dirty_counts), seed=config.seed
    )


def _known(catalogue: Catalogue) -> list[list[str] | list[float]]:
    """The columns of _KNOWN."""
    said = describe(catalogue.hidden, catalogue.seed)
    named = [list(catalogue.item_ids), list(catalogue.titles)]
    return [*named, said.categories, said.prices, said.texts]


def _pictures(catalogue: Catalogue) -> pa.Table:
    shapes = [SHAPES[index] for index in catalogue.shape]
    columns = [*_known(catalogue), shapes, encode_png(draw(catalogue))]
    return pa.table(columns, schema=_PICTURES)


def _sounds(catalogue: Catalogue) -> pa.Table:
    rhythms = [list(sounds.RHYTHMS)[index] for index in catalogue.shape]
    columns = [*_known(catalogue), rhythms, sounds.play(catalogue)]
    return pa.table(columns, schema=_SOUNDS)
