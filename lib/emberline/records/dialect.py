"""How text files are written: what ends a field, what quotes it, what is no data, and in which
encoding.
"""

from dataclasses import dataclass, replace

WHITESPACE = "whitespace"  # the separator of any number of blanks and tabs


@dataclass(frozen=True)
class Dialect:
    """`kind` is csv or json; a separator is any text, or WHITESPACE; `quote`, `escape` and
    `comment` may be empty.
    """

    kind: str = "csv"
    separator: str = ","
    header: bool = True
    quote: str = '"'
    escape: str = ""
    comment: str = ""
    encoding: str = "utf-8"

    @property
    def blanks(self) -> bytes:
        """What may stand between a separator and a quote."""
        return (
            b""
            if self.is_whitespace
            else bytes(byte for byte in b" \t" if chr(byte) not in self.separator)
        )

    @property
    def is_whitespace(self) -> bool:
        return self.separator == WHITESPACE

    def with_separator(self, separator: str) -> "Dialect":
        """The same, cut elsewhere: what a first line such as `sep=;` says."""
        return replace(self, separator=separator)
