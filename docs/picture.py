"""The picture of the demo's report that the README shows: its beginning, and further down new
items and people, by Chromium.

make demo && .venv/bin/python docs/picture.py runs/demo/report/report.html docs/report.png
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT = 1160, 1470  # of a page, in CSS pixels
HALF = (710, 900)  # of the picture, in its own
BELOW = """
body > header, nav, #data, #distribution, #training, #metrics > h2, #metrics > .intro,
#metrics-holdout, #metrics .pair, #lists
{ display: none !important }
section { padding-top: 0 !important } .block { margin-top: 18px !important }
#people { padding-top: 30px !important }
"""


def photograph(html: str, style: str) -> Image.Image:
    """The top of a page, with some more style, as half of the picture."""
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "page.png")
        page.write_text(html.replace("</style>", f"{style}</style>", 1), encoding="utf-8")
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={WIDTH},{HEIGHT}",
        ]
        command = ["chromium", *options, f"--screenshot={shot}", page.as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=120)
        return Image.open(shot).convert("RGB").resize(HALF, Image.Resampling.LANCZOS)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Photograph a report for the README.")
    parser.add_argument("report", type=Path, metavar="REPORT.html")
    parser.add_argument("picture", type=Path, metavar="FILE.png")
    given = parser.parse_args()
    html = given.report.read_text(encoding="utf-8")
    both = Image.new("RGB", (2 * HALF[0], HALF[1]))
    for place, style in enumerate(("", BELOW)):
        both.paste(photograph(html, style), (place * HALF[0], 0))
    both.save(given.picture, optimize=True)


if __name__ == "__main__":
    main()
