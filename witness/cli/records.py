"""The arguments that name graph records, and their reading: several are joined as if one run had seen it all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from witness.analysis import Analysis, analyse
from witness.analysis.merge import merge
from witness.record import Graph, read_graph

__all__ = ["FilesArgument", "analysed", "joined"]

FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Graph records; several are joined.", show_default=False)
]


def joined(files: list[Path]) -> Graph:
    """Read the files and join them.

    Raises: GraphUnreadable: one of them is no record.
    """
    return merge([read_graph(path) for path in files])


def analysed(files: list[Path]) -> Analysis:
    """Read the files, join them, and work out what they say."""
    return analyse(joined(files))
