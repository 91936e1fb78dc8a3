"""Campaign files that come with the program, and the stores that lie in a directory. Owns the search; reads no
campaign."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

__all__ = ["STORE_SUFFIX", "campaign_file", "shipped", "stores_in"]

STORE_SUFFIX = ".faultinj.db"
_SHIPPED = Path(__file__).parents[1] / "campaigns"


def shipped() -> Mapping[str, Path]:
    """The campaign files that come with the program, by name."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}


def campaign_file(text: str) -> Path:
    """The file that a person means: a path, or the name of a shipped campaign when there is no such file."""
    path = Path(text)
    return path if path.exists() else shipped().get(text, path)


def stores_in(directory: Path) -> list[Path]:
    """The files of a directory that are named as stores are."""
    return sorted(directory.glob(f"*{STORE_SUFFIX}"))
