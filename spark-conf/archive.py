"""One .tar.gz that holds a Python and the packages a cluster needs, for spark.archives: workers
need no Python of their own.

    .venv/bin/python spark-conf/archive.py [--for executors|driver] FILE.tar.gz

It is made of what is installed here: this interpreter's own files, and the packages' files with
those of all they depend on. So what runs there is what was tested here, and packing needs no
network.
"""

import argparse
import io
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What cf/, images/ and datasets/ import, and pandas, which Spark's own Arrow code does.
EXECUTORS = ("numpy", "pandas", "pillow", "pyarrow", "scipy", "simplejpeg", "sparse-dot-topn")
# Spark brings its own, fitting its version.
NOT_PACKED = {"emberline", "py4j", "pyspark"}
# Parts of a Python that no job needs, most of its size.
UNUSED = {
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "ensurepip",
    "lib2to3",
    "turtledemo",
    "__pycache__",
}
# Starts the real interpreter with its library, which it looks for where it was built.
LAUNCHER = """#!/bin/sh
bin=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
LD_LIBRARY_PATH="$bin/../lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$bin/%s" "$@"
"""

Files = Iterator[tuple[Path, str]]


def pack(target: Path, packages: Iterable[str]) -> None:
    """Write the archive, whole or not at all, after the Python unpacked from it has imported
    the packages.
    """
    names = sorted(closure({*packages} - NOT_PACKED) - NOT_PACKED)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    try:
        with tarfile.open(temporary, "w:gz", compresslevel=6, dereference=True) as archive:
            for source, name in [*interpreter(), *libraries(names)]:
                archive.add(source, name, recursive=False)
            _add_launcher(archive)
        check(temporary, {*packages} - NOT_PACKED)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def packages_for(whom: str) -> list[str]:
    """What `executors` import, or a `driver`, which may run any stage."""
    return [*EXECUTORS] if whom == "executors" else sorted(_requirements("emberline", "train"))


def closure(packages: Iterable[str]) -> set[str]:
    """The packages and all that they depend on, here and without extras. Exits where one is not
    installed.
    """
    found: set[str] = set()
    waiting = list(packages)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        waiting += _requirements(name)
    return found


def _requirements(name: str, extra: str = "") -> set[str]:
    needed = map(Requirement, _distribution(name).requires or [])
    return {
        canonicalize_name(one.name)
        for one in needed
        if one.marker is None or one.marker.evaluate({"extra": extra})
    }


def _distribution(name: str) -> metadata.Distribution:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        sys.exit(f"archive: error: {name} is not installed in {sys.prefix}; run make setup")


def interpreter() -> Files:
    """The executable, the standard library and, where there is one, the library they share."""
    executable, library = _executable(), Path(sysconfig.get_path("stdlib"))
    yield executable, f"bin/{executable.name}"
    for folder, folders, files in os.walk(library):
        folders[:] = [
            name for name in folders if name not in UNUSED and not name.startswith("config-")
        ]
        for name in files:
            path = Path(folder, name)
            yield path, f"lib/{library.name}/{path.relative_to(library).as_posix()}"
    if shared := _shared_library():
        yield shared, f"lib/{shared.name}"


def libraries(names: Iterable[str]) -> Files:
    """The files of installed packages but their commands, which name this machine's Python."""
    folder = _site_packages()
    for name in names:
        for file in _distribution(name).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                yield Path(str(file.locate())), f"{folder}/{file.as_posix()}"


def _executable() -> Path:
    return Path(os.path.realpath(sys.executable))


def _site_packages() -> str:
    """Where below its own folder the interpreter looks for packages: distributions of Linux
    have names of their own for it.
    """
    program = "import site, os, sys; print(os.path.relpath(site.getsitepackages()[-1], sys.prefix))"
    ran = subprocess.run(
        [str(_executable()), "-I", "-c", program], check=True, capture_output=True, text=True
    )
    return ran.stdout.strip()


def _shared_library() -> Path | None:
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return None
    return Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))


def _add_launcher(archive: tarfile.TarFile) -> None:
    """`bin/python3`, whatever the interpreter's own name is."""
    launcher = tarfile.TarInfo("bin/python3")
    launcher.mode = 0o755
    if not _shared_library():
        launcher.type, launcher.linkname = tarfile.SYMTYPE, _executable().name
        archive.addfile(launcher)
        return
    script = (LAUNCHER % _executable().name).encode()
    launcher.size = len(script)
    archive.addfile(launcher, io.BytesIO(script))


def check(archive: Path, packages: Iterable[str]) -> None:
    """Unpack it elsewhere, and import the packages there, with an empty environment. Exits
    where that does not work.
    """
    owners = metadata.packages_distributions().items()
    modules = [
        name
        for name, by in owners
        if not name.startswith("_") and {*map(canonicalize_name, by)} & {*packages}
    ]
    program = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}];"
        " print(*sys.path, sep='\\n')"
    )
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tar", "-xzf", str(archive), "-C", folder], check=True)
        python = [f"{folder}/bin/python3", "-I", "-c", program]
        ran = subprocess.run(
            python, capture_output=True, text=True, env={"PATH": os.defpath}, cwd=folder
        )
    elsewhere = [path for path in ran.stdout.splitlines() if not path.startswith(folder)]
    if ran.returncode or elsewhere:
        problem = (
            ran.stderr.strip().rpartition("\n")[2] or f"it looks for modules in {elsewhere[0]}"
        )
        sys.exit(f"archive: error: the packed Python does not run by itself: {problem}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Pack Python and packages for spark.archives.")
    parser.add_argument(
        "--for",
        dest="whom",
        choices=("executors", "driver"),
        default="executors",
        help="whose packages",
    )
    parser.add_argument("file", type=Path, metavar="FILE.tar.gz")
    given = parser.parse_args()
    if not given.file.name.endswith(".tar.gz"):
        parser.error(f"{given.file}: Spark knows an archive by its name: FILE.tar.gz")
    pack(given.file, packages_for(given.whom))
    print(
        f"{given.file}: {given.file.stat().st_size / 2**20:.0f} MiB; --conf"
        f" spark.archives={given.file}#environment"
    )


if __name__ == "__main__":
    main()
