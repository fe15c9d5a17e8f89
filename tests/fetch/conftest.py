"""What the tests of fetching share: a publisher on loopback that can misbehave, and a small
dataset that it publishes.
"""

import hashlib
import io
import re
import socket
import struct
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from emberline.fetch.catalogue import Licence, PublishedFile, Source, Usage

RATINGS = "user,item,rating\n" + "".join(
    f"u{n % 97},i{n % 89},{n % 5 + 1}\n" for n in range(20_000)
)
README = "Made up for the tests.\n"


@dataclass
class Publisher:
    """A server's files, how it misbehaves, and the requests that it was sent, each as its path
    and headers.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    # the next answers break off after so many bytes of their body
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)  # the next answers are these errors
    etag: str | None = '"v1"'
    modified: str | None = None
    knows_ranges: bool = True
    announces_length: bool = True
    content_range: str | None = None  # instead of the right one
    resets: bool = False  # rather than ends a connection that it cuts
    stalls: bool = False  # before it does
    url: str = ""
    resumed: threading.Event = field(default_factory=threading.Event)

    def ranges(self) -> list[str | None]:
        """What was asked for in each request."""
        return [headers.get("Range") for _, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    publisher: Publisher

    def do_GET(self) -> None:
        publisher = self.publisher
        publisher.requests.append((self.path, dict(self.headers)))
        content = publisher.files.get(self.path.rpartition("/")[2])
        if publisher.statuses or content is None:
            self.send_error(publisher.statuses.pop(0) if publisher.statuses else 404)
            return
        start = self._start()
        if start is not None and start >= len(content):
            self.send_error(416)
            return
        self.send_response(200 if start is None else 206)
        for name, value in self._headers(content, start):
            self.send_header(name, value)
        self.end_headers()
        self._send(content[start or 0 :])

    def _start(self) -> int | None:
        """Where to continue: as RFC 9110 says, only where If-Range still holds."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        current = (self.publisher.etag, self.publisher.modified)
        if (
            not asked
            or not self.publisher.knows_ranges
            or self.headers.get("If-Range") not in current
        ):
            return None
        return int(asked[1])

    def _headers(self, content: bytes, start: int | None) -> Iterator[tuple[str, str]]:
        publisher = self.publisher
        if publisher.announces_length:
            yield "Content-Length", str(len(content) - (start or 0))
        if publisher.etag:
            yield "ETag", publisher.etag
        if publisher.modified:
            yield "Last-Modified", publisher.modified
        if start is not None:
            yield (
                "Content-Range",
                publisher.content_range or f"bytes {start}-{len(content) - 1}/{len(content)}",
            )

    def _send(self, body: bytes) -> None:
        publisher = self.publisher
        cut = publisher.cuts.pop(0) if publisher.cuts else len(body)
        self.wfile.write(body[:cut])
        self.wfile.flush()
        if cut < len(body):
            if publisher.stalls:
                publisher.resumed.wait(60)
            if publisher.resets:
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                self.connection.close()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Says nothing on standard error."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that were killed."""


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A server on loopback; the machine's own proxies are not asked."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    publisher = Publisher()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"publisher": publisher}))
    publisher.url = f"http://127.0.0.1:{server.server_port}/published"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield publisher
    publisher.resumed.set()
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Told:
    """A listener that remembers."""

    lines: list[str] = field(default_factory=list)
    progress: list[tuple[str, int, int]] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def progressed(self, name: str, done: int, total: int) -> None:
        self.progress.append((name, done, total))


@pytest.fixture
def told() -> Told:
    return Told()


def published(name: str, content: bytes) -> PublishedFile:
    return PublishedFile(name, len(content), hashlib.sha256(content).hexdigest())


def zipped(members: dict[str, str]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in members.items():
            opened.writestr(name, text)
    return archive.getvalue()


def source_of(archive: bytes, **changes: Any) -> Source:
    """A dataset `tiny` in an archive tiny.zip, in the folder data/tiny; the publisher is not
    reachable.
    """
    fields: dict[str, Any] = {
        "name": "tiny",
        "folder": "tiny",
        "base": "http://publisher.invalid/datasets",
        "files": (published("tiny.zip", archive),),
        "licence": Licence(
            "Test licence",
            "Do what you like.",
            "http://publisher.invalid/licence",
            "Nobody. 2020. Nothing.",
        ),
        "usage": Usage(
            "jobs/pipelines/tiny.toml", "ratings.path", "data/tiny/ratings.csv", "ratings.csv"
        ),
        "holds": {"README": None, "ratings.csv": len(RATINGS)},
        "top": "ml-tiny",
        "unpacked": len(RATINGS) + 1000,
    }
    return Source(**fields | changes)


@pytest.fixture
def archive() -> bytes:
    return zipped({"ml-tiny/": "", "ml-tiny/README": README, "ml-tiny/ratings.csv": RATINGS})


@pytest.fixture
def source(archive: bytes, publisher: Publisher) -> Source:
    """A dataset, and the publisher's having it."""
    publisher.files["tiny.zip"] = archive
    return source_of(archive)
