"""What is served over HTTP, asked as a server of ASGI asks, and the command as people start it."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from tests.serving.shop import Shop

from emberline.serving.recommender import Recommender
from emberline.web.app import Service

Ask = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="package")
def ask(served: Recommender) -> Ask:
    """`ask(path, body=None, method=None)` is the status and what is answered."""
    app = Service(served).app()

    def answer(path: str, body: bytes | None = None, method: str = "") -> tuple[int, Any]:
        status, content = asyncio.run(_asked(app, path, body, method))
        return status, json.loads(content) if content[:1] == b"{" else content.decode()

    return answer


async def _asked(app: Any, path: str, body: bytes | None, method: str) -> tuple[int, bytes]:
    raw, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method or ("GET" if body is None else "POST"),
        "path": urllib.request.unquote(raw),
        "raw_path": raw.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [],
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    waiting = [{"type": "http.request", "body": body or b"", "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(each.get("body", b"") for each in sent[1:])
    return sent[0]["status"], content


def body(**given: Any) -> bytes:
    return json.dumps(given).encode()


def test_lists_are_the_librarys(shop: Shop, served: Recommender, ask: Ask) -> None:
    user = next(iter(shop.events))
    status, found = ask(f"/users/{user}/recommendations?k=3")
    assert (status, found["release"]) == (200, served.release)
    assert [
        (row["rank"], row["item_id"], row["score"], row["model"]) for row in found["items"]
    ] == [(row.rank, row.item_id, row.score, row.model) for row in served.recommend(user, 3)]
    status, folded = ask("/recommendations", body(events=["i0", ["i2", 3], "nix"], k=4))
    expected = served.fold_in(["i0", ("i2", 3)], 4)
    assert (status, folded["unknown"]) == (200, ["nix"])
    assert [row["item_id"] for row in folded["items"]] == [row.item_id for row in expected]
    assert [row["item_id"] for row in ask("/items/i0/similar?k=2")[1]["items"]] == [
        row.item_id for row in served.similar("i0", 2)
    ]
    assert len(ask("/popular")[1]["items"]) == len(served.popular())


def test_reasons_come_in_words_and_in_numbers(shop: Shop, served: Recommender, ask: Ask) -> None:
    user = next(iter(shop.events))
    for found in (
        ask(f"/users/{user}/recommendations?why=true&k=1"),
        ask("/recommendations", body(events=["i0", "i2"], why=True)),
    ):
        best = found[1]["items"][0]
        assert best["because"].startswith("because of ")
        assert best["reasons"][0]["drop"] > 0 and best["reasons"][0]["item_id"]


@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        ("/users/zoe/recommendations", None, 404, "there is no user 'zoe'"),
        ("/users/..%2F..%2Fetc%2Fpasswd/recommendations", None, 404, "there is no user '../../etc"),
        ("/users//recommendations", None, 404, "there is no user ''"),
        ("/items/nix/similar", None, 404, "there is no item 'nix'"),
        ("/items/%00/similar", None, 404, "there is no item"),
        ("/nowhere", None, 404, "Not Found: GET /docs"),
        ("/recommendations", body(events=["nix", ["nox", 1]]), 404, "such as 'nix'"),
        ("/popular?k=0", None, 400, "k is '0': expected a whole number from 1 to 1,000"),
        ("/popular?k=1e9", None, 400, "k is '1e9'"),
        ("/popular?k=%EF%BC%91", None, 400, "k is"),
        ("/users/u0/recommendations?why=maybe", None, 400, "expected true or false"),
        ("/users/u0/recommendations?where=here", None, 400, "'where' is not known here; what is"),
        ("/recommendations", b"{", 400, "the body is not JSON"),
        ("/recommendations", b"[" * 100_000, 400, "the body is not JSON"),
        ("/recommendations", b"\xff", 400, "the body is not JSON"),
        ("/recommendations", b"[]", 400, "expected a body such as"),
        ("/recommendations", body(events=[7]), 400, "an event is 7"),
        ("/recommendations", body(events=[["i0", "many"]]), 400, "a finite number"),
        ("/recommendations", b'{"events": [["i0", NaN]]}', 400, "a finite number"),
        ("/recommendations", body(events=["i0"] * 10_001), 400, "10,001 events are too many"),
        ("/recommendations", body(events=["i0"], k=True), 400, "k is True"),
        ("/recommendations", body(events=["i0"], why="yes"), 400, "expected true or false"),
        ("/recommendations", body(events=["i0"], more=1), 400, "'more' is not known"),
        ("/recommendations", b" " * ((1 << 20) + 1), 400, "the body is too large"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    ask: Ask, path: str, content: bytes | None, status: int, message: str
) -> None:
    found, answer = ask(path, content)
    assert (found, list(answer)) == (status, ["error"])
    assert message in answer["error"] and "\n" not in answer["error"]


def test_a_method_that_there_is_not_is_405(ask: Ask) -> None:
    assert ask("/popular", b"")[0] == ask("/recommendations")[0] == 405


def test_requests_are_counted_for_prometheus(served: Recommender) -> None:
    app = Service(served).app()
    for path in ("/popular", "/popular", "/popular?k=x", "/users/u0/recommendations"):
        asyncio.run(_asked(app, path, None, ""))
    status, text = asyncio.run(_asked(app, "/metrics", None, ""))
    lines = dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if line[0] != "#")
    assert status == 200
    assert lines['emberline_requests_total{ask="most_popular",status="200"}'] == "2"
    assert lines['emberline_requests_total{ask="most_popular",status="400"}'] == "1"
    assert lines['emberline_request_seconds_bucket{ask="most_popular",le="+Inf"}'] == "3"
    assert lines['emberline_request_seconds_count{ask="recommend"}'] == "1"
    assert lines[f'emberline_release_info{{release="{served.release}"}}'] == "1"


def test_every_request_is_described(ask: Ask) -> None:
    status, described = ask("/openapi.json")
    assert (status, described["openapi"]) == (200, "3.1.0")
    for path, methods in described["paths"].items():
        assert ask(re.sub(r"{\w+}", "x", path), None, *(m.upper() for m in methods))[0] != 405
        assert path in ask("/docs")[1]
    names = {name.rsplit("/", 1)[1] for name in re.findall(r"#/[\w/]+", json.dumps(described))}
    assert names <= set(described["components"]["schemas"])


def test_the_command_answers_on_loopback_until_it_is_asked_to_end(served: Recommender) -> None:
    program = "from emberline.cli.main import main; main()"
    arguments = ("serve", str(served._folder), "--port", "0")
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        (at,) = re.findall(
            r"Answering at (http://127\.0\.0\.1:\d+), from", server.stdout.readline()
        )
        with urllib.request.urlopen(f"{at}/healthz") as answer:
            assert json.load(answer) == {"status": "ok", "release": served.release}
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
