"""The address of a server that files are fetched from, with its credentials kept apart from
what is shown.
"""

import base64
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from emberline.errors import ConfigError

_SCHEMES = ("https", "http", "file")
_EXPECTED = (
    "the mirror is not a URL of https, http or file; give one such as"
    " https://mirror.example/datasets or file:///datasets"
)
_AS_IT_IS = "/%~!$&'()*+,;=:@"  # in a path


@dataclass(frozen=True)
class Address:
    """A base URL without user and password, and the Authorization header that those make."""

    url: str
    authorization: str | None = field(default=None, repr=False)

    def of(self, name: str) -> str:
        """The URL of a file below."""
        return f"{self.url}/{name}"


def parse(text: str) -> Address:
    """An address from `https://[user:password@]host/path`, http or file. Raises ConfigError,
    which never shows the password.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:  # its text may show a part of the password
        raise ConfigError(_EXPECTED) from None
    if parts.scheme not in _SCHEMES or bool(host) == (parts.scheme == "file"):
        raise ConfigError(_EXPECTED)
    if parts.query or parts.fragment:
        raise ConfigError(
            "the mirror's URL has a ? or #; give the folder's, to which the files' names are added"
        )
    host = f"[{host}]" if host and ":" in host else host or ""
    place = f"{host}:{port}" if port else host
    path = quote(parts.path.rstrip("/"), safe=_AS_IT_IS)
    return Address(f"{parts.scheme}://{place}{path}", _basic(parts.username, parts.password))


def _basic(user: str | None, password: str | None) -> str | None:
    """RFC 7617."""
    if user is None:
        return None
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")
