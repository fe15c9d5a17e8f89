"""Pseudonyms: outside ids under a key, without which nobody tells whose they are.

    pseudonym = base32(first 128 bits of HMAC-SHA256(key, side NUL id))       (RFC 2104, RFC 4648)

A hash without a key falls to a dictionary of all ids; 128 bits of one with a key do not, and no two
of n ids share a pseudonym but with a probability of about n^2 / 2^129.
"""

import base64
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_BYTES = 16
_EXTENSION = re.compile(r"[A-Za-z][A-Za-z0-9]{0,4}")
_LETTERS = 26  # of base32 for so many bytes, without the padding


@dataclass(frozen=True)
class Key:
    """A secret that is never shown; `fingerprint` tells it from others, and says nothing of it."""

    secret: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """16 digits: a hash of a fixed text under the key."""
        return self._digest(b"emberline\0fingerprint").hex()[:16]

    def pseudonym(self, side: str, text: str) -> str:
        """What stands for an outside id of a side (user or item; file)."""
        digest = self._digest(side.encode() + b"\0" + text.encode())
        return base64.b32encode(digest[:_BYTES]).decode("ascii")[:_LETTERS]

    def pseudonyms(self, side: str, texts: pa.Array) -> pa.Array:
        """The same of each text (n,), null where there is none; each distinct one is hashed
        once.
        """
        return of_distinct(texts, lambda text: self.pseudonym(side, text), pa.string())

    def file_name(self, path: str) -> str:
        """What stands for a file that is named by outside ids: its path's, and its extension."""
        name = path.rpartition("/")[2]
        extension = name.rpartition(".")[2] if "." in name else ""
        kept = f".{extension}" if _EXTENSION.fullmatch(extension) else ""
        return f"{self.pseudonym('file', path)}{kept}"

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self.secret, text, "sha256")


def of_distinct(texts: pa.Array, function: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """What a function makes of each text (n,), asked once for each distinct one."""
    encoded = pc.dictionary_encode(texts)
    made = [function(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(made, kind).take(encoded.indices)
