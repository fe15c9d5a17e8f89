"""The stage generate-shop: the demo's raw files, `events.csv`, `customers.csv` and
`pictures.parquet`, as the artifact `shop`.
"""

import pyarrow as pa

from emberline.datasets.facts import Shop
from emberline.datasets.parts import write_file, write_part
from emberline.runs.stage_run import StageRun
from emberline.sections.shop import ShopConfig
from emberline.shop.catalogue import SHAPES, Catalogue, make_catalogue
from emberline.shop.customers import make_customers
from emberline.shop.events import customer_ids, make_events
from emberline.shop.pictures import draw, encode_png
from emberline.shop.sales import tastes_of

_PICTURES = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("shape", pa.string()),
        ("picture", pa.binary()),
    ]
)


def run(run: StageRun[ShopConfig]) -> None:
    """Generate the catalogue, draw it, let customers buy, and draw what is to be sold next."""
    config = run.settings
    catalogue = make_catalogue(config.num_items, config.seed)
    arrivals = make_catalogue(config.num_new_items, config.seed + 1, prefix="N")
    events = make_events(catalogue, config.num_users, config.num_events, config.seed)
    tastes = tastes_of(catalogue, config.num_users, config.seed)
    people = customer_ids(config.num_users, config.seed)
    customers = make_customers(people, config.num_new_users, tastes.customers, config.seed)
    folder = run.outputs.folder("shop")
    parts = [
        write_file(events.csv, folder, "events.csv"),
        write_file(customers, folder, "customers.csv"),
        write_part(
            map(_pictures, filter(len, (catalogue, arrivals))), folder, "pictures", _PICTURES
        ),
    ]
    run.outputs.add(
        "shop", parts, Shop(generated=True, dirty_lines=events.dirty_counts), seed=config.seed
    )


def _pictures(catalogue: Catalogue) -> pa.Table:
    shapes = [SHAPES[index] for index in catalogue.shape]
    columns = [
        list(catalogue.item_ids),
        list(catalogue.titles),
        shapes,
        encode_png(draw(catalogue)),
    ]
    return pa.table(columns, schema=_PICTURES)
