"""How the site is built: `make docs`. Nothing is fetched, neither while it is built nor while it is read."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for our own extensions

_VERSION = re.search(r'^__version__ = "(.+)"', (ROOT / "airflow_provider_saagie/__init__.py").read_text(), re.MULTILINE)

project = "airflow-provider-saagie"
author = "The airflow-provider-saagie authors"
version = release = _VERSION[1] if _VERSION else ""
extensions = ["myst_parser", "sphinx_copybutton", "docs.from_source", "docs.site_links"]
exclude_patterns = ["_build", "requirements.txt"]
nitpicky = True
nitpick_ignore_regex = [
    # Types in signatures that are not ours: there is no network to look them up.
    (r"py:.*", r"(?!airflow_provider_saagie\.|Saagie).*"),
    # Types in our signatures that are no part of the reference.
    (r"py:.*", r"airflow_provider_saagie\.(client\.(?!jobs|saagie)|operators\.saagie_task|job_log).*"),
]

# Headings have the anchors that GitHub gives them, so that a link works in both places.
myst_heading_anchors = 4
myst_url_schemes = {"http": None, "https": None, "mailto": None, "repo": None}

maximum_signature_line_length = 80  # a longer one has a line for each parameter

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#0b5cad", "color-brand-content": "#0b5cad"},
    "dark_css_variables": {"color-brand-primary": "#7db7f0", "color-brand-content": "#7db7f0"},
}
