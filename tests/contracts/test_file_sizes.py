"""Files stay small enough to hold in the head."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("shmalloc", "witness", "faultinj", "workloads", "tests", "examples")
MOST_LINES = {".c": 500, ".h": 500, ".pyx": 700, ".pxi": 700, ".pxd": 700, ".py": 400, ".pyi": 400}
# The format of an arena is one document: its drawings, tables, structs and asserts are read side by side.
EXEMPT = {"shmalloc/core/layout.h": 900}
FORBIDDEN_NAMES = {"util", "utils", "common", "misc", "helper", "helpers", "manager", "stuff"}


def too_long(root: Path) -> list[str]:
    """Every source file above the bound of its kind, as ``path: lines > bound``."""
    found = []
    for folder in SOURCES:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in MOST_LINES or "__pycache__" in file.parts:
                continue
            path = file.relative_to(root).as_posix()
            most = EXEMPT.get(path, MOST_LINES[file.suffix])
            lines = len(file.read_text().splitlines())
            if lines > most:
                found.append(f"{path}: {lines} > {most}")
    return found


def test_no_file_outgrows_its_kind() -> None:
    assert too_long(ROOT) == []


def test_a_file_that_outgrows_its_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "shmalloc").mkdir()
    (tmp_path / "shmalloc/zone.py").write_text("\n" * 401)
    (tmp_path / "shmalloc/item.py").write_text("\n" * 400)
    assert too_long(tmp_path) == ["shmalloc/zone.py: 401 > 400"]


@pytest.mark.parametrize("folder", SOURCES)
def test_every_file_is_named_after_one_idea(folder: str) -> None:
    vague = [f for f in (ROOT / folder).rglob("*") if FORBIDDEN_NAMES & set(f.stem.lower().split("_"))]
    assert vague == []
