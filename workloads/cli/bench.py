"""`workloads bench` and `workloads compare`: handed on to the benchmark, imported only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer


def bench(context: typer.Context) -> None:
    """Measure against peers, as ratios within one run."""
    from workloads.bench import cli

    _hand_on(cli.bench, context)


def compare(context: typer.Context) -> None:
    """Compare two saved benchmark reports."""
    from workloads.bench import compare as comparison

    _hand_on(comparison.compare, context)


def _hand_on(command: Callable[..., Any], context: typer.Context) -> None:
    inner = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    inner.command()(command)
    inner(args=context.args, prog_name=context.command_path)
