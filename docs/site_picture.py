"""`make docs-pictures`: shows the first page of the site that `make docs` has built."""

from __future__ import annotations

import os
import sys

from docs.make_pictures import LARGEST, PICTURES, ROOT
from tests.support.chromium import chromium


def main() -> int:
    """Make the picture and return the exit code."""
    page_file = ROOT / os.environ.get("SITE", "docs/_build") / "html" / "index.html"
    picture = PICTURES / "site.png"
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1010, "height": 620})
        page.goto(page_file.as_uri())
        page.screenshot(path=picture, animations="disabled")
    print(f"{picture.relative_to(ROOT)}  {picture.stat().st_size // 1000} kB")
    return 0 if picture.stat().st_size <= LARGEST else 1


if __name__ == "__main__":
    sys.exit(main())
