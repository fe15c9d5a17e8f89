"""How a half-step of alternating least squares gets the other side's factors to the blocks that
need them.

`Broadcasting` holds both sides' factors in this process and shares all of them with every task.
`Routing` keeps them in files, and sends each block the rows that its ratings name: nothing larger
than a block is in this process or in a worker. Both give the same factors.
"""

import uuid
from abc import ABC, abstractmethod
from functools import partial, reduce
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.als import factor_rows, starts, steps
from emberline.cf.als import messages as cf_messages
from emberline.cf.als.factor_rows import FACTORS, LOSS, ROWS, SOLVED
from emberline.cf.als.gramians import Grams
from emberline.cf.als.objective import Loss, Objective
from emberline.cf.als.packing import SIDES
from emberline.cf.als.solvers import Solver
from emberline.cf.als.steps import Step
from emberline.datasets import storage
from emberline.datasets.block_files import BlockFiles
from emberline.datasets.storage import Location
from emberline.factors import block_files
from emberline.factors.packing import RatingBlocks
from emberline.flow.rows import Rows, Shared
from emberline.numeric.arrays import Float32, Int32

OTHER = {"user": "item", "item": "user"}
_SUMS = [name for name in FACTORS.names if name not in ROWS.names]


class Exchange(ABC):
    """Both sides' factors, and half-steps that replace one side's."""

    name: ClassVar[str]

    def __init__(self, ratings: RatingBlocks, width: int) -> None:
        self.ratings = ratings
        self.width = width
        self.grams = {side: Grams.empty(width) for side in SIDES}
        self.flow = ratings.rows.flow

    @abstractmethod
    def load(self, side: str, factors: Rows) -> None:
        """Take a side's factors from FACTORS."""

    @abstractmethod
    def blocks(self, side: str) -> Rows:
        """A side's factors as FACTORS."""

    @abstractmethod
    def solve(self, side: str, step: Step) -> list[dict[str, Any]]:
        """Replace a side's factors; SOLVED without them, a row per block."""

    def half_step(self, side: str, objective: Objective, solver: Solver) -> Loss:
        """Solve a side's factors from the other's; what they add to the objective."""
        solved = self.solve(side, Step(objective, solver, self.grams[OTHER[side]]))
        self.grams[side] = factor_rows.grams_of(solved, self.width)
        return reduce(Loss.merge, [Loss(*(row[name] for name in LOSS)) for row in solved])

    @abstractmethod
    def rows_of(self, side: str, wanted: Int32) -> Float32:
        """The factors of a few ids (n,): (n, width), zeros for those without ratings."""

    @abstractmethod
    def store(self, side: str, folder: Location) -> BlockFiles:
        """Write a side's factors to files that stay."""

    @abstractmethod
    def restore(self, side: str, files: BlockFiles) -> None:
        """Take a side's factors from what `store` wrote."""

    @abstractmethod
    def close(self) -> None:
        """Free what the workers hold."""


def _sums(blocks: pa.Table) -> list[dict[str, Any]]:
    """FACTORS or SOLVED without the factors, always in the same order, so that sums have the
    same bits.
    """
    names = [name for name in blocks.column_names if name not in ("ids", "factors")]
    rows: list[dict[str, Any]] = blocks.select(names).sort_by("block").to_pylist()
    return rows


def _gathered(blocks: pa.Table, width: int) -> tuple[Int32, Float32]:
    rows = blocks.select(["ids", "factors"]).to_pylist()
    ids = np.concatenate(
        [np.empty(0, np.int32), *(np.frombuffer(row["ids"], np.int32) for row in rows)]
    )
    factors = np.concatenate(
        [np.empty(0, np.float32), *(np.frombuffer(row["factors"], np.float32) for row in rows)]
    )
    factors = factors.reshape(len(ids), width)
    order = np.argsort(ids)
    return ids[order], factors[order]


class Broadcasting(Exchange):
    """Both sides' factors as arrays (ids, width) that every task has."""

    name = "broadcast"

    def __init__(self, ratings: RatingBlocks, width: int) -> None:
        super().__init__(ratings, width)
        self._blocks = {side: ratings.of(side) for side in SIDES}
        self._ids = {side: np.empty(0, np.int32) for side in SIDES}
        self._shared = {
            side: self._share(np.zeros((ratings.sides[side].last + 1, width), np.float32))
            for side in SIDES
        }

    def load(self, side: str, factors: Rows) -> None:
        self._take(side, factors.table())

    def blocks(self, side: str) -> Rows:
        task = partial(starts.look_up, factors=self._shared[side])
        return self.ratings.of(side, "ids", "indptr").map(task, FACTORS)

    def solve(self, side: str, step: Step) -> list[dict[str, Any]]:
        task = partial(
            steps.solve_shared,
            others=self._shared[OTHER[side]],
            own=self._shared[side],
            step=step,
        )
        solved = self._blocks[side].map(task, SOLVED).table()
        self._replace(side, *_gathered(solved, self.width))
        return _sums(solved)

    def rows_of(self, side: str, wanted: Int32) -> Float32:
        factors = self._shared[side].value
        rows, known = np.zeros((len(wanted), self.width), np.float32), wanted < len(factors)
        rows[known] = factors[wanted[known]]
        return rows

    def store(self, side: str, folder: Location) -> BlockFiles:
        ids = self._ids[side]
        return block_files.store_here(
            factor_rows.factors_rows(ids, self._shared[side].value[ids], self.grams[side]), folder
        )

    def restore(self, side: str, files: BlockFiles) -> None:
        self._take(side, pa.Table.from_batches(block_files.rows_here(files)))

    def close(self) -> None:
        for shared in self._shared.values():
            shared.destroy()

    def _take(self, side: str, blocks: pa.Table) -> None:
        self._replace(side, *_gathered(blocks, self.width))
        self.grams[side] = factor_rows.grams_of(_sums(blocks), self.width)

    def _share(self, factors: Float32) -> Shared:
        return self.flow.share(factors)

    def _replace(self, side: str, ids: Int32, rows: Float32) -> None:
        before = self._shared[side]
        factors = np.zeros_like(before.value)
        factors[ids] = rows
        self._ids[side], self._shared[side] = ids, self._share(factors)
        before.destroy()


class Routing(Exchange):
    """Both sides' factors in files below `folder`, a block in each, as the ratings are; tasks read
    and write them.

    What blocks send each other are rows of a megabyte; on Spark, a JVM holds nothing else.
    """

    name = "shuffle"

    def __init__(self, ratings: RatingBlocks, width: int, folder: Location) -> None:
        super().__init__(ratings, width)
        assert ratings.files is not None  # they were packed for it
        self._packed = ratings.files
        self._folder = folder
        self._files = {side: BlockFiles(folder, {}) for side in SIDES}

    def load(self, side: str, factors: Rows) -> None:
        self.grams[side] = factor_rows.grams_of(
            self._keep(side, factors, FACTORS, _SUMS), self.width
        )

    def blocks(self, side: str) -> Rows:
        return block_files.rows_in(self.flow, self._files[side], self.ratings.num_blocks, FACTORS)

    def solve(self, side: str, step: Step) -> list[dict[str, Any]]:
        num_blocks, other = self.ratings.num_blocks, OTHER[side]
        send = partial(
            cf_messages.send_factors,
            packed=self._packed.row,
            factors=self._files[other].row,
            side=other,
        )
        messages = self.flow.numbers(num_blocks).map(send, cf_messages.MESSAGES)
        task = partial(
            cf_messages.solve_routed,
            packed=self._packed.row,
            own=self._files[side].row,
            side=side,
            step=step,
        )
        solved = messages.together(num_blocks).map(task, SOLVED)
        return self._keep(side, solved, SOLVED, [*_SUMS, *LOSS])

    def rows_of(self, side: str, wanted: Int32) -> Float32:
        task = partial(factor_rows.pick_factors, wanted=np.unique(wanted))
        ids, found = _gathered(self.blocks(side).map(task, ROWS).table(), self.width)
        rows, known = np.zeros((len(wanted), self.width), np.float32), np.isin(wanted, ids)
        rows[known] = found[np.searchsorted(ids, wanted[known])]
        return rows

    def store(self, side: str, folder: Location) -> BlockFiles:
        return block_files.store(self.blocks(side), folder, FACTORS, [])[0]

    def restore(self, side: str, files: BlockFiles) -> None:
        self.load(side, block_files.rows_in(self.flow, files, self.ratings.num_blocks, FACTORS))

    def close(self) -> None:
        """Nothing: the folder goes with the run."""

    def _keep(
        self, side: str, rows: Rows, schema: pa.Schema, sums: list[str]
    ) -> list[dict[str, Any]]:
        """Put a side's rows of FACTORS or SOLVED in the place of those so far; what they come
        to.
        """
        before = self._files[side]
        folder = self._folder / f"{side}-{uuid.uuid4().hex}"
        self._files[side], table = block_files.store(rows, folder, schema, sums, self._merge)
        if before.names:
            storage.remove_folder(before.folder)
        return _sums(table.filter(pc.is_valid(table["each"])))

    def _merge(self, stored: Rows, schema: pa.Schema) -> Rows:
        """Sums of neighbouring blocks together: those of thousands of blocks would not fit this
        process.
        """
        num_blocks = self.ratings.num_blocks
        parts = factor_rows.num_sums(num_blocks)
        if parts == num_blocks:
            return stored
        near = partial(factor_rows.near, parts=parts, num_blocks=num_blocks)
        numbered = stored.map(near, schema.append(pa.field(factor_rows.NEAR, pa.int32())))
        together = numbered.together(parts, factor_rows.NEAR)
        rows = together.select({name: name for name in schema.names})
        return rows.map(partial(factor_rows.merge_sums, width=self.width), schema)
