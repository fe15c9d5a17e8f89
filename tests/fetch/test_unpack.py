"""Archives that try to leave their folder, to fill the disk, or to be something else."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from emberline.errors import DataError
from emberline.fetch.unpack import unpack

OUTSIDE = (
    "../evil",
    "top/../../evil",
    "/tmp/evil",
    "top/a/../../../evil",
    "..\\evil",
    "C:\\evil",
    "C:evil",
    "top\\..\\..\\evil",
)


def _zip(path: Path, *members: tuple[str, bytes, int]) -> Path:
    """Members of a name, contents and Unix mode."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def _tar(path: Path, *members: tarfile.TarInfo, content: bytes = b"x") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info in members:
            info.size = len(content) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(content))
    return path


def _special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "around" / "into"
    folder.mkdir(parents=True)
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_files_of_a_zip_come_out_without_its_top_folder(tmp_path: Path, into: Path) -> None:
    plain = stat.S_IFREG | 0o600
    members = (
        ("top/", b"", stat.S_IFDIR),
        ("top/a.csv", b"1", plain),
        ("top/b/c.csv", b"22", 0),
        ("__MACOSX/top/._a", b"3", 0),
    )
    unpack(_zip(tmp_path / "x.zip", *members), "top", into, limit=4)
    assert _files(into) == {"a.csv": b"1", "b/c.csv": b"22"}


def test_the_files_of_a_tar_come_out_without_its_top_folder(tmp_path: Path, into: Path) -> None:
    members = (
        _special("./", tarfile.DIRTYPE),
        _special("top", tarfile.DIRTYPE),
        tarfile.TarInfo("top/a.bin"),
    )
    unpack(
        _tar(tmp_path / "x.tar.gz", *members, tarfile.TarInfo("./top/b/c.bin")),
        "top",
        into,
        limit=2,
    )
    assert _files(into) == {"a.bin": b"x", "b/c.bin": b"x"}


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_that_would_leave_its_folder_ends_it(
    tmp_path: Path, into: Path, name: str, kind: str
) -> None:
    if kind == "zip":
        archive = _zip(tmp_path / "x.zip", (name, b"evil", 0))
    else:
        archive = _tar(tmp_path / "x.tar.gz", tarfile.TarInfo(name))
    with pytest.raises(DataError) as refused:
        unpack(archive, "top", into, limit=100)
    assert f"its member {name!r} would leave the folder" in str(refused.value)
    assert _files(tmp_path) == {archive.name: archive.read_bytes()}
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize(
    "member",
    [
        _special("top/link", tarfile.SYMTYPE, "/etc/passwd"),
        _special("top/link", tarfile.LNKTYPE, "../../evil"),
        _special("top/device", tarfile.CHRTYPE),
        _special("top/pipe", tarfile.FIFOTYPE),
    ],
    ids=["symbolic link", "hard link", "device", "pipe"],
)
def test_a_tars_member_that_is_no_file_ends_it(
    tmp_path: Path, into: Path, member: tarfile.TarInfo
) -> None:
    archive = _tar(tmp_path / "x.tar.gz", member, tarfile.TarInfo("top/link/x"))
    with pytest.raises(DataError, match=f"its member '{member.name}' is a link or a device"):
        unpack(archive, "top", into, limit=100)
    assert list(into.rglob("*")) == []


@pytest.mark.parametrize("mode", [stat.S_IFLNK | 0o777, stat.S_IFCHR, stat.S_IFIFO])
def test_a_zips_member_that_is_no_file_ends_it(tmp_path: Path, into: Path, mode: int) -> None:
    archive = _zip(tmp_path / "x.zip", ("top/link", b"/etc/passwd", mode))
    with pytest.raises(DataError, match="its member 'top/link' is a link or a device"):
        unpack(archive, "top", into, limit=100)
    assert list(into.rglob("*")) == []


def test_an_archive_that_is_larger_than_expected_is_not_unpacked(
    tmp_path: Path, into: Path
) -> None:
    bomb = b"0" * 5_000_000
    for archive in (
        _zip(tmp_path / "x.zip", ("elsewhere/a", bomb, 0), ("top/b", bomb, 0)),
        _tar(
            tmp_path / "x.tar.gz", tarfile.TarInfo("top/a"), tarfile.TarInfo("top/b"), content=bomb
        ),
    ):
        with pytest.raises(
            DataError,
            match=rf"{archive.name}: unpacked, it takes more than the expected 9,000,000 bytes",
        ):
            unpack(archive, "top", into, limit=9_000_000)
        assert not (into / "b").exists()


def test_a_zip_that_understates_a_members_size_fills_no_disk(tmp_path: Path, into: Path) -> None:
    archive = _zip(tmp_path / "x.zip", ("top/a", b"0" * 5_000_000, 0))
    content = bytearray(archive.read_bytes())
    size = (5_000_000).to_bytes(4, "little")
    assert content.count(size) == 2  # in the member's header and in the directory
    archive.write_bytes(bytes(content).replace(size, (1000).to_bytes(4, "little")))
    with pytest.raises(DataError, match="not a whole archive"):
        unpack(archive, "top", into, limit=1000)
    assert sum(path.stat().st_size for path in into.rglob("*")) <= 1000


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz"])
def test_half_an_archive_is_told(tmp_path: Path, into: Path, name: str) -> None:
    path = tmp_path / name
    content = bytes(range(256)) * 4000
    if name.endswith(".zip"):
        _zip(path, ("top/a", content, 0))
    else:
        _tar(path, tarfile.TarInfo("top/a"), content=content)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=f"{name} is not a whole archive"):
        unpack(path, "top", into, limit=10_000_000)
