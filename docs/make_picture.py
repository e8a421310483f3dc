"""Draws docs/quickstart.png: the top of the report that `figclip quickstart` left behind.

    figclip quickstart --out quickstart && python docs/make_picture.py

Needs a chromium on the path.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

REPORT = Path("quickstart/run-base0-seed0/report.html")
PICTURE = Path(__file__).parent / "quickstart.png"
SIZE_PX = (1280, 1180)


def main() -> None:
    """Takes the screenshot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, nargs="?", default=REPORT)
    report = parser.parse_args().report.resolve()
    width, height = SIZE_PX
    command = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars"]
    command += [f"--window-size={width},{height}", f"--screenshot={PICTURE}", report.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    print(f"wrote {PICTURE}")


if __name__ == "__main__":
    main()
