"""The download of one file that survives cut connections, killed processes and servers that
cannot continue one.
"""

import hashlib
import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

from emberline.datasets import storage
from emberline.errors import ConfigError, DataError, UnreachableError
from emberline.fetch.address import Address
from emberline.fetch.catalogue import PublishedFile

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before another attempt
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 18
_WORTH_A_RETRY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)  # and all of 5xx


class Listener(Protocol):
    """Who is told how a fetch goes on."""

    def say(self, text: str) -> None:
        """Something happened."""

    def progressed(self, name: str, done: int, total: int) -> None:
        """So many bytes of the file are here."""


class _CutError(Exception):
    """The connection or the server failed in a way that another attempt may not meet."""


@dataclass(frozen=True)
class _Partial:
    """What is here of a file, and, in a note beside it, which version of the file that is of."""

    path: Path

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    def validator(self, url: str) -> str | None:
        """The ETag or date that identifies the version, if it came from this URL."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return str(note["validator"]) if note["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):  # a missing or torn note: start anew
            return None

    def begin(self, url: str, validator: str | None) -> None:
        """Start anew, noting first what the bytes to come are of."""
        self.remove()
        if validator:
            storage.replace_file(
                self._note, json.dumps({"url": url, "validator": validator}).encode()
            )
        self.path.touch()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def download(
    file: PublishedFile,
    address: Address,
    folder: Path,
    listener: Listener,
    pauses: Sequence[float] = PAUSES,
) -> Path:
    """The file, whole and with the right checksum, in `folder`, where a part of it may be from
    before.

    Raises UnreachableError where the server cannot be reached, or breaks off after every one of the
    pauses (seconds), DataError where it does not have the file, or sends something else,
    ConfigError for a mirror that cannot be right.
    """
    partial = _Partial(folder / f"{file.name}.part")
    for pause in (*pauses, None):
        try:
            _attempt(file, address, partial, listener)
            break
        except _CutError as error:
            here = f"{partial.bytes:,} of {file.bytes:,} bytes are here"
            if pause is None:
                raise UnreachableError(
                    f"{address.of(file.name)} failed {len(pauses) + 1} times ({error}); {here}, run"
                    " this again to go on"
                ) from None
            listener.say(f"{file.name}: {error}; {here}, trying again in {pause:g} s")
            time.sleep(pause)
    return _accept(file, address.of(file.name), partial)


def _accept(file: PublishedFile, url: str, partial: _Partial) -> Path:
    try:
        check(partial.path, file, url)
    except DataError as error:
        partial.remove()
        raise DataError(f"{error}; what was downloaded is removed") from None
    whole = partial.path.with_suffix("")
    partial.path.replace(whole)
    partial.remove()
    return whole


def check(path: Path, file: PublishedFile, origin: str) -> None:
    """Raises DataError, which names `origin`, where a file has not the size or the checksum
    that it should.
    """
    size = path.stat().st_size
    if size != file.bytes:
        raise DataError(
            f"{origin} is not the file it should be: expected {file.bytes:,} bytes, found {size:,}"
        )
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.sha256:
        raise DataError(
            f"{origin} is not the file it should be: expected sha256 {file.sha256}, found {found}"
        )


def _attempt(file: PublishedFile, address: Address, partial: _Partial, listener: Listener) -> None:
    """Adds to the partial file until it is whole."""
    if partial.bytes == file.bytes:
        return
    url = address.of(file.name)
    with _open(url, address.authorization, partial) as response:
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            _check_range(response.headers, file, url, partial)
        else:
            _check_length(response.headers, file, url)
            partial.begin(url, _validator(response.headers))
        _append(response, file, partial, listener)
    if partial.bytes < file.bytes:
        raise _CutError("the connection was cut")


def _open(url: str, authorization: str | None, partial: _Partial) -> Any:
    """The server's answer: the rest of the partial file where it can be continued, else the
    file from its start.
    """
    request = Request(url, headers={"User-Agent": "emberline", "Accept-Encoding": "identity"})
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    validator = partial.validator(url)
    if validator and partial.bytes:
        request.add_header("Range", f"bytes={partial.bytes}-")
        request.add_header("If-Range", validator)
    try:
        return build_opener().open(request, timeout=_TIMEOUT)
    except HTTPError as error:
        raise _refusal(error, url, partial) from None
    except URLError as error:
        raise _unreachable(error, url) from None
    except http.client.InvalidURL:
        raise ConfigError(f"{url} is not a URL; correct the mirror's") from None
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(_describe(error)) from None


def _refusal(error: HTTPError, url: str, partial: _Partial) -> Exception:
    """What an HTTP status means."""
    error.close()
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        partial.remove()
        return _CutError("the server has no such bytes, the download starts anew")
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _WORTH_A_RETRY:
        return _CutError(f"the server answers {error.code}")
    return DataError(f"{url} cannot be had: the server answers {error.code} {error.reason}")


def _unreachable(error: URLError, url: str) -> Exception:
    """No connection, or none that can be trusted. A file:// URL of nothing arrives here, too."""
    if isinstance(error.reason, ssl.SSLError):
        return ConfigError(f"{url} cannot be trusted ({_describe(error.reason)})")
    if isinstance(error.reason, ConnectionResetError | ssl.SSLEOFError):
        return _CutError(_describe(error.reason))
    if url.startswith("file:"):
        return ConfigError(f"{url} cannot be reached ({_describe(error.reason)})")
    return UnreachableError(
        f"{url} cannot be reached ({_describe(error.reason)}); try again when the network is there"
    )


def _describe(error: Any) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def _validator(headers: Mapping[str, str]) -> str | None:
    """What If-Range takes: an ETag that is not weak, else a date (RFC 9110, 13.1.5)."""
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _check_range(
    headers: Mapping[str, str], file: PublishedFile, url: str, partial: _Partial
) -> None:
    """Raises where the server continues at another place, or another file, than was asked for."""
    expected = f"bytes {partial.bytes}-{file.bytes - 1}/{file.bytes}"
    found = headers.get("Content-Range", "nothing")
    if found != expected:
        partial.remove()
        raise _CutError(f"asked for {expected}, the server sends {found}, the download starts anew")


def _check_length(headers: Mapping[str, str], file: PublishedFile, url: str) -> None:
    """Raises DataError, before anything is downloaded, for what cannot be the file: another
    one, or a page to log in.
    """
    length = headers.get("Content-Length")
    if length is not None and length != str(file.bytes):
        raise DataError(
            f"{url} is not the file it should be: expected {file.bytes:,} bytes, the server"
            f" announces {length}"
        )


def _append(response: Any, file: PublishedFile, partial: _Partial, listener: Listener) -> None:
    done = partial.bytes
    listener.progressed(file.name, done, file.bytes)
    with partial.path.open("ab") as output:
        for chunk in _chunks(response):
            output.write(chunk)
            done += len(chunk)
            listener.progressed(file.name, done, file.bytes)
            if done > file.bytes:
                break  # the check says so


def _chunks(response: Any) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise _CutError(_describe(error)) from None
        if not chunk:
            return
        yield chunk
