"""`workloads report`: the page of a run that was saved with --json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from workloads.cli.outcome import USAGE, complain, leave, save_page, show_result
from workloads.records import decode_result
from workloads.report.run_page import run_page


def report(
    saved: Annotated[Path, typer.Argument(metavar="FILE", help="What `workloads run NAME --json` printed.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page.", show_default=False)] = None,
) -> None:
    """Show a saved run again, and write its page; exit status as that of the run."""
    try:
        result = decode_result(saved.read_bytes())
    except OSError as error:
        complain(f"{saved}: {error.strerror}")
        raise typer.Exit(USAGE) from None
    except msgspec.MsgspecError as error:
        complain(f"{saved} is no saved run ({error}); make one with: workloads run NAME --json > FILE")
        raise typer.Exit(USAGE) from None
    if html is not None:
        save_page(run_page(result), html)
    show_result(result)
    if html is not None:
        typer.echo(f"page: {html}")
    leave(result)
