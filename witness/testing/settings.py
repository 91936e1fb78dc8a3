"""What the command line and the ini file say about a run. Owns their reading: what is wrong ends the run at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from witness.analysis.baseline import Baseline, read_baseline
from witness.analysis.suppressions import Suppression, SuppressionsUnreadable, read_suppressions
from witness.record import GraphUnreadable

__all__ = ["Settings", "read_settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a run is watched. `blocking`: calls that block are reported everywhere, not only where a marker asks."""

    record: Path | None
    json: Path | None
    blocking: bool
    allow: tuple[str, ...]
    suppressions: tuple[Suppression, ...]
    baseline: Baseline | None


def read_settings(config: pytest.Config) -> Settings:
    """Read the settings; files of the ini file stand relative to it, those of the command line to where it was typed.

    Raises: pytest.UsageError.
    """
    options = config.known_args_namespace
    typed = config.invocation_params.dir
    base = config.inipath.parent if config.inipath is not None else config.rootpath

    def given(option: str | None, ini: str) -> Path | None:
        if option:
            return typed / option
        value = str(config.getini(ini)) if ini else ""
        return base / value if value else None

    suppressions, baseline = given(None, "witness_suppressions"), given(None, "witness_baseline")
    try:
        return Settings(
            record=given(options.witness_record, "witness_record"),
            json=given(options.witness_json, ""),
            blocking=bool(config.getini("witness_blocking")),
            allow=tuple(config.getini("witness_allow")),
            suppressions=read_suppressions(suppressions) if suppressions else (),
            baseline=read_baseline(baseline) if baseline else None,
        )
    except (SuppressionsUnreadable, GraphUnreadable) as error:
        raise pytest.UsageError(f"witness: {error}") from error
