"""Pictures of the demo's report, by Chromium: for the README its beginning, and further down new
items and people; and why items are in a list, on a wide screen and on a narrow one.

make demo && .venv/bin/python docs/picture.py runs/demo/report/report.html docs/report.png
.venv/bin/python docs/picture.py runs/demo/report/report.html docs/reasons.png --why
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
WIDTHS, GAP = (1280, 390), 20  # of the screens that reasons are shown on
WHY = """
body > header, nav, section:not(#people), #people > h2, #people > .intro,
.person h4:has(+ ul.items), .person ul.items { display: none !important }
section { padding-top: 0 !important }
"""


def photograph(html: str, style: str, width: int = WIDTH) -> Image.Image:
    """The top of a page, with some more style, on a screen of that width."""
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "page.html"), Path(folder, "page.png")
        page.write_text(html.replace("</style>", f"{style}</style>", 1), encoding="utf-8")
        # no window of Chromium's is as narrow as a telephone
        frame = Path(folder, "frame.html")
        size = f'width="{width}" height="{HEIGHT}" style="border:0"'
        frame.write_text(f'<body style="margin:0"><iframe src="page.html" {size}></iframe>')
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--window-size={max(width, 500)},{HEIGHT}",
        ]
        command = ["chromium", *options, f"--screenshot={shot}", frame.as_uri()]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=120)
        return Image.open(shot).convert("RGB").crop((0, 0, width, HEIGHT))


def beginning_and_people(html: str) -> Image.Image:
    """Both halves of the README's picture."""
    both = Image.new("RGB", (2 * HALF[0], HALF[1]))
    for place, style in enumerate(("", BELOW)):
        half = photograph(html, style).resize(HALF, Image.Resampling.LANCZOS)
        both.paste(half, (place * HALF[0], 0))
    return both


def wide_and_narrow(html: str) -> Image.Image:
    """The first person's list and why it is so, on both screens."""
    both = Image.new("RGB", (sum(WIDTHS) + GAP, HEIGHT), "white")
    for place, width in zip((0, WIDTHS[0] + GAP), WIDTHS, strict=True):
        both.paste(photograph(html, WHY, width), (place, 0))
    return both.resize((both.width * 3 // 5, both.height * 3 // 5), Image.Resampling.LANCZOS)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Photograph a report.")
    parser.add_argument("report", type=Path, metavar="REPORT.html")
    parser.add_argument("picture", type=Path, metavar="FILE.png")
    parser.add_argument("--why", action="store_true", help="the picture of reasons")
    given = parser.parse_args()
    html = given.report.read_text(encoding="utf-8")
    made = wide_and_narrow(html) if given.why else beginning_and_people(html)
    made.save(given.picture, optimize=True)


if __name__ == "__main__":
    main()
