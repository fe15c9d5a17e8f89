"""A receipt compared with the root that it is about, as that is now."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from emberline.cleaning.forgotten import digest
from emberline.datasets import manifest as manifests
from emberline.datasets import rows
from emberline.datasets.storage import Location
from emberline.privacy import removal
from emberline.privacy.receipt import Receipt
from emberline.runs import tombstones
from emberline.runs.tombstones import Tombstones


@dataclass(frozen=True)
class Checked:
    """One thing that was compared: whether it is as the receipt says, and what was found."""

    name: str
    holds: bool
    found: str


def verify(receipt: Receipt, root: Location) -> Iterator[Checked]:
    """Compare all that a receipt says of a root."""
    holds = receipt.seal == receipt.seal_due
    yield Checked("seal", holds, "is right" if holds else "is another: the receipt was changed")
    known = tombstones.read(root)
    yield _tombstones(receipt, known)
    for name in ("users", "user_attributes"):
        if known and manifests.exists(root, name):
            yield _nobody(receipt, root, name, known)
    yield _removed(receipt, root)
    yield _datasets(receipt, root)
    found = "none" if receipt.is_clean else "ids were found when it was written"
    yield Checked("ids found", receipt.is_clean, found)


def _tombstones(receipt: Receipt, known: Tombstones | None) -> Checked:
    there = {one.digest for one in known.people} if known else set()
    lacking = len(set(receipt.digests) - there)
    found = f"{lacking} of {len(receipt.digests)} are missing: later runs bring these people back"
    return Checked("tombstones", not lacking, found if lacking else f"{len(receipt.digests)}")


def _nobody(receipt: Receipt, root: Location, name: str, known: Tombstones) -> Checked:
    """No id of a table is one of theirs, but of those who came back since, under a new index."""
    salt, gone = bytes.fromhex(known.salt), set(receipt.digests)
    reserved = {one.index for one in known.people}
    back = still = 0
    for batch in rows.batches(manifests.load(root, name), ["user", "user_id"]):
        for user, user_id in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if digest(salt, user_id) in gone:
                still += user in reserved
                back += user not in reserved
    told = f"{still} of them are there" if still else "none of them"
    return Checked(name, not still, told + (f"; {back} came back since, as new" if back else ""))


def _removed(receipt: Receipt, root: Location) -> Checked:
    back = [path for path in receipt.removed if _is_there(root / path)]
    found = f"are there: {', '.join(back[:3])}" if back else f"{len(receipt.removed)} are gone"
    return Checked("removed", not back, found)


def _is_there(path: Location) -> bool:
    look: Callable[[], bool] = path.is_file
    return look() or path.is_dir()


def _datasets(receipt: Receipt, root: Location) -> Checked:
    """Those manifests that are not as they were have to be of later runs."""
    now = removal.hashes_of(root)
    then = {one.name: one.after for one in receipt.datasets if one.after}
    other = [name for name, after in then.items() if name in now and now[name] != after]
    old = [name for name in other if _run_time(root, name) < receipt.receipt[:15]]
    gone = {one.before for one in receipt.datasets if one.before != one.after}
    old += [name for name in other if now[name] in gone]
    if old:
        return Checked("datasets", False, f"of before are back: {', '.join(sorted(set(old)))}")
    later = f", {len(other)} are of later runs" if other else ""
    same = sum(now.get(name) == after for name, after in then.items())
    return Checked("datasets", True, f"{same} of {len(then)} are as it says{later}")


def _run_time(root: Location, name: str) -> str:
    return manifests.load(root, name).manifest.produced_by.run_id[:15]
