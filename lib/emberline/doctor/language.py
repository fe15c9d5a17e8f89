"""The encoding of file names and texts on this machine, as its locale has it."""

import codecs
import sys
from collections.abc import Mapping

from emberline.doctor.check import Check, ok, warning

_VARIABLES = ("LC_ALL", "LC_CTYPE", "LANG")


def check_language(environment: Mapping[str, str], encoding: str | None = None) -> Check:
    """Whether it is UTF-8: else Java and Python name files with other letters than ASCII's
    differently.
    """
    found = encoding or sys.getfilesystemencoding()
    variable = next((name for name in _VARIABLES if environment.get(name)), None)
    told = f"{found}, as {variable} = {environment[variable]} has it" if variable else found
    if codecs.lookup(found).name == "utf-8":
        return ok("file names", told)
    return warning(
        "file names",
        f"{told}: names with other letters than ASCII's are not found",
        "export LC_ALL=C.UTF-8",
    )
