"""The picture of what `emberline compare` prints, by Rich and Chromium.

.venv/bin/python docs/terminal.py runs/before runs/now docs/compare.png
"""

import argparse
import io
import re
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from emberline.cli.compare import show_comparison
from emberline.comparing.comparison import Comparison
from emberline.comparing.run import Run
from emberline.datasets import storage
from emberline.runs.roots import Roots

COLUMNS = 118


def drawn(before: str, now: str, base: str | None) -> str:
    """What the command prints, as SVG."""
    place = storage.locate(base) if base else None
    roots = [
        Roots(storage.locate(root), place if place and root != base else None)
        for root in (before, now)
    ]
    then, since = map(Run.of, roots)
    console = Console(record=True, width=COLUMNS, highlight=False, file=io.StringIO())
    show_comparison(console, Comparison.of(then, since))
    return console.export_svg(title=f"emberline compare {before} {now}")


def photograph(svg: str, picture: Path) -> None:
    """The SVG as a PNG of its own size."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert found is not None
    width, height = (round(float(size)) for size in found.groups())
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(f"<body style='margin:0'>{svg}</body>", encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        size = f"--window-size={width},{height}"
        command = ["chromium", *options, size, f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=120)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Photograph a comparison for the pages.")
    parser.add_argument("before")
    parser.add_argument("now")
    parser.add_argument("picture", type=Path, metavar="FILE.png")
    parser.add_argument("--base", default=None)
    given = parser.parse_args()
    photograph(drawn(given.before, given.now, given.base), given.picture.absolute())


if __name__ == "__main__":
    main()
