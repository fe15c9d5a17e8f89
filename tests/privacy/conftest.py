"""What these tests share: a log whose ids nobody could take for anything else, and a pipeline."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.runs import runner
from emberline.runs.runner import Outcome

NUM_USERS, NUM_ITEMS = 60, 40
PIPELINE = """
[ratings]
path = "log.csv"
columns = { user_id = "who", item_id = "what", value = "stars", timestamp = "at", title = "name" }
max_value = 5.0
max_rejected = 0.2

[split]
by = "last"
n = 1

[attributes.users]
path = "people.csv"
columns = { id = "who", genres = "likes" }

[cosine]
top_k = 40
min_support = 1

[recommend]
model = "item-neighbors"
top_k = 5
users = "listed.csv"

[explain]

[evaluate]
k = [5]

[report]
users = 2
"""


def user_id(user: int) -> str:
    return f"zoe-{user:04d}@example.org"


def item_id(item: int) -> str:
    return f"sku/{item:05d}"


def log_lines(seed: int = 0) -> list[str]:
    """Ratings of a world with three tastes, and rows that cannot be used: without a value, above
    the largest, twice, and torn.
    """
    rng = np.random.default_rng(seed)
    lines = ["who,what,stars,at,name"]
    for user in range(NUM_USERS):
        liked = rng.permutation(NUM_ITEMS)[:30]
        liked = sorted(liked, key=lambda item: (item % 3 != user % 3, rng.random()))[:12]
        for place, item in enumerate(liked):
            stars = 5 if item % 3 == user % 3 else 2
            at = 1_500_000_000 + 1000 * place + user
            lines.append(f'{user_id(user)},{item_id(item)},{stars},{at},"Film ""{item}"""')
        lines.append(f"{user_id(user)},{item_id(int(liked[0]))},{3},{1_400_000_000},")
    lines.append(f"{user_id(3)},{item_id(4)},nothing,1500000000,")
    lines.append(f"{user_id(4)},{item_id(4)},9,1500000000,")
    lines.append(f"{user_id(5)},{item_id(4)}")
    return lines


def write_shop(folder: Path, without: tuple[int, ...] = ()) -> None:
    """The log, the people of it, and whom lists are for; without some people's rows."""
    gone = [user_id(user) for user in without]

    def write(name: str, lines: list[str]) -> None:
        kept = [line for line in lines if not any(one in line for one in gone)]
        (folder / name).write_text("\n".join(kept) + "\n")

    folder.mkdir(exist_ok=True)
    write("log.csv", log_lines())
    people = [f"{user_id(user)},films|taste-{user % 3}" for user in range(NUM_USERS)]
    write("people.csv", ["who,likes", *people, people[0]])
    write("listed.csv", ["user_id", *(user_id(user) for user in range(0, NUM_USERS, 2))])


def run_in(folder: Path, toml: str, *overrides: str, only: str | None = None) -> list[Outcome]:
    """Run a pipeline whose file is in the folder, into `root` there."""
    (folder / "pipeline.toml").write_text(toml)
    config = pipelines.load(folder / "pipeline.toml", [f"root={folder / 'root'}", *overrides])
    return runner.run(config, folder / "root", stages.select(config, only))


def rows_of(folder: Path, name: str) -> pa.Table:
    return pa.concat_tables(map(pq.read_table, manifests.load(folder / "root", name).paths))


def contents(place: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder by its name, as it is and unpacked."""
    for path in sorted(place.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(place)), path.read_bytes()
            if path.suffix == ".parquet":
                yield f"{path.relative_to(place)} decoded", _decoded(path)
            elif zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        yield f"{path.relative_to(place)}:{name}", archive.read(name)


def _decoded(path: Path) -> bytes:
    """A Parquet file without compression, which pyarrow reads and writes again."""
    written = io.BytesIO()
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table, written, compression="none", use_dictionary=False)
    return written.getvalue()


def places_of(place: Path, text: str) -> list[str]:
    """Where a text is found, whole, in any file or name of one."""
    found = [name for name, content in contents(place) if text.encode() in content]
    return found + [str(path) for path in place.rglob("*") if text in path.name]
