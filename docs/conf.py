"""Sphinx configuration: the pages are Markdown, read by MyST."""

import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]

project = "shmalloc"
author = "the shmalloc authors"
project_copyright = "2026, the shmalloc authors"
version = release = _project["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"shmalloc {version}"
