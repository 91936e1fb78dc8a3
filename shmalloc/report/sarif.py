"""A report as SARIF 2.1.0, for code hosts and editors: the log around a tool's results, and places in source files.

Owns the frame of a log. Which results there are and what they say is the tool's affair.
Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = ["sarif_log", "source_place"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_Object = dict[str, Any]


def sarif_log(tool: str, rules: Mapping[str, str], results: Sequence[_Object], root: Path) -> _Object:
    """A log of one run.

    Parameters: rules: a short description by id, in the order that ruleIndex counts; root: absolute, what %SRCROOT% is.
    """
    driver = {
        "name": tool,
        "version": importlib.metadata.version("shmalloc"),
        "rules": [{"id": rule, "shortDescription": {"text": text}} for rule, text in rules.items()],
    }
    run: _Object = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"uri": root.as_uri().rstrip("/") + "/"}},
        "results": list(results),
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def source_place(file: str, line: int, root: Path) -> _Object:
    """A physical location: below root relative to it, else absolute; line 0: not known."""
    path = Path(file)
    place = path.resolve() if path.is_absolute() else root / path
    artifact = (
        {"uri": quote(place.relative_to(root).as_posix()), "uriBaseId": "SRCROOT"}
        if place.is_relative_to(root)
        else {"uri": place.as_uri()}
    )
    physical: _Object = {"artifactLocation": artifact}
    if line:
        physical["region"] = {"startLine": line}
    return physical
