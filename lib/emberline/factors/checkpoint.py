"""Where a fit of alternating least squares stands, so that a killed run goes on from there: its
factors and its history.
"""

import json
import logging
from typing import Any

from emberline.cf.als.packing import SIDES
from emberline.datasets import storage
from emberline.datasets.block_files import BlockFiles
from emberline.datasets.storage import Location
from emberline.factors.exchange import Exchange
from emberline.logs import event

log = logging.getLogger(__name__)
_STATE = "state.json"


class Checkpoint:
    """The iterations stored below a folder: the last one stored, and the best one; `state` says
    which, and is replaced last.

    `blocks` and `exchange` are how the ratings were cut and the factors sent, None where nothing is
    stored. Where another exchange than that is `wanted`, which may be the remedy for what ended the
    attempt, it is as if nothing were.
    """

    def __init__(self, folder: Location, wanted: str = "auto") -> None:
        self._folder = folder
        self.blocks: int | None = None
        self.exchange: str | None = None
        self.history: list[dict[str, Any]] = []
        self.best = 0
        # names by iteration, side, and block
        self._files: dict[str, dict[str, dict[str, str]]] = {}
        self._read(wanted)

    def _read(self, wanted: str) -> None:
        try:
            state = json.loads((self._folder / _STATE).read_bytes())
            if wanted not in ("auto", state["exchange"]):
                log.warning(
                    event(
                        "als_begins_anew",
                        stored=state["exchange"],
                        wanted=wanted,
                        iterations=len(state["history"]),
                    )
                )
                return
            self.blocks, self.exchange, self._files = (
                state["blocks"],
                state["exchange"],
                state["files"],
            )
            self.history, self.best = state["history"], state["best"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # nothing was stored

    def store(self, exchange: Exchange, history: list[dict[str, Any]], best: int) -> None:
        """Store both sides' factors after the last iteration of `history`, and forget all
        iterations but this and the best.
        """
        iteration = len(history)
        stored = {side: exchange.store(side, self._place(iteration)).names for side in SIDES}
        files = {side: _by_text(names) for side, names in stored.items()}
        kept = {number: names for number, names in self._files.items() if int(number) == best}
        self._files = kept | {str(iteration): files}
        how = {"blocks": exchange.ratings.num_blocks, "exchange": exchange.name}
        state = {**how, "history": history, "best": best, "files": self._files}
        storage.replace_file(self._folder / _STATE, json.dumps(state).encode())
        for before in {len(self.history), self.best} - {iteration, best, 0}:
            storage.remove_folder(self._place(before))
        self.history, self.best = list(history), best

    def files(self, side: str, iteration: int) -> BlockFiles:
        """A side's factors after an iteration."""
        names = self._files[str(iteration)][side]
        return BlockFiles(
            self._place(iteration), {int(block): file for block, file in names.items()}
        )

    def _place(self, iteration: int) -> Location:
        return self._folder / f"{iteration:05d}"


def _by_text(names: dict[int, str]) -> dict[str, str]:
    """The names of blocks' files as JSON has them."""
    return {str(block): file for block, file in names.items()}
