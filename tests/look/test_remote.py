"""Of an object in a store only the head is read."""

from typing import Any

import pytest

from emberline import stages
from emberline.datasets import listing, storage
from emberline.datasets.remote import RemotePath
from emberline.look import examine
from emberline.look.sources import of_stage
from emberline.sections.config import Config


class _Counting:
    """An open file that counts the bytes that are read."""

    def __init__(self, opened: Any, read: list[int]) -> None:
        self._opened, self._read = opened, read

    def __enter__(self) -> "_Counting":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def read(self, size: int = -1) -> bytes:
        found: bytes = self._opened.read(size)
        self._read.append(len(found))
        return found

    def seek(self, position: int) -> None:
        self._opened.seek(position)


def test_of_a_large_object_only_the_head_is_read(
    s3_root: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "user,item,stars\n" + "".join(f"u{n % 9},i{n % 7},{n % 5 + 1}\n" for n in range(100_000))
    (s3_root / "log.csv").write_bytes((rows * 20).encode())
    read: list[int] = []
    open_input = storage.open_input
    monkeypatch.setattr(
        storage, "open_input", lambda location: _Counting(open_input(location), read)
    )
    columns = {"user_id": "user", "item_id": "item", "value": "stars"}
    config = Config.model_validate({"ratings": {"path": f"{s3_root}/log.csv", "columns": columns}})
    [source] = of_stage(config, stages.select(config)[0])
    files = listing.list_files(source.config.path)
    assert files[0].size > 15_000_000
    assert examine.look(source, files) == []
    assert 0 < sum(read) < 2_000_000
