"""One self-contained HTML page from finished sections: no script, no network, light and dark by the reader's setting.

Owns the page's frame. Whoever writes a page brings the sections; tables come from `tables.py`, drawings from
`figures.py`. All text is escaped by the template, the SVG of a figure is taken as it is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .table import Table, printable

_TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True, slots=True)
class Section:
    """One part of a page, shown in this order: heading, note, facts, figure, table. What is empty is left out."""

    heading: str
    note: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    figure_svg: str = ""
    table: Table | None = None


def render_page(title: str, sections: Sequence[Section], *, lead: str = "", good: bool | None = None) -> str:
    """The whole page as text. `lead` is the one line under the title; `good` marks it as a verdict, for or against."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["printable"] = printable
    environment.filters["drawing"] = Markup
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(title=title, lead=lead, good=good, sections=sections)


def write_page(path: Path, text: str) -> None:
    """Put the page in place in one step: a reader sees the old page or the new one, never half of one."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent or Path())
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
