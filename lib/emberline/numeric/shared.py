"""What all tasks have, wherever they run."""

from typing import Any, Protocol


class Shared(Protocol):
    """A value that is sent to every worker once."""

    @property
    def value(self) -> Any: ...
