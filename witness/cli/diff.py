"""`witness diff`: what changed between two records, or since a baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shmalloc.cli.screen import say, show_json, show_lines
from witness.analysis.baseline import compare, read_baseline
from witness.cli.records import analysed
from witness.report.text import finding_lines

__all__ = ["diff"]


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A baseline or a graph record.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="A graph record.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell which findings of B are new against A, which are gone and which stayed.

    The status is 1 when some are new and not unlikely to block.
    """
    baseline = read_baseline(before)
    analysis = analysed([after])
    difference = compare(analysis.findings, baseline)
    if as_json:
        show_json(
            {
                "new": [{"key": f.key, "title": f.title, "level": f.level} for f in difference.new],
                "known": [{"key": f.key, "title": f.title, "level": f.level} for f in difference.known],
                "gone": [{"key": known.key, "title": known.title} for known in difference.gone],
            }
        )
    else:
        for finding in difference.new:
            say(f"new: {finding.title}")
            show_lines(f"    {line}" for line in finding_lines(finding, analysis.order))
        show_lines(f"gone: {known.title}" for known in difference.gone)
        show_lines(f"known: {finding.title}" for finding in difference.known)
        say(f"{len(difference.new)} new, {len(difference.gone)} gone, {len(difference.known)} known")
    raise typer.Exit(1 if any(finding.level != "unlikely" for finding in difference.new) else 0)
