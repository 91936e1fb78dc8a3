"""Whoever waits for a module is called after it was imported, once, with the module as it would have been."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from witness.watched.arrival import on_import


def test_a_module_is_told_of_after_it_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "arriving_later.py").write_text("word = 'whole'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    seen: list[ModuleType] = []
    on_import("arriving_later", seen.append)
    assert seen == []
    module = __import__("arriving_later")
    monkeypatch.delitem(sys.modules, "arriving_later")
    assert seen == [module]
    assert module.word == "whole"
    assert module.__spec__ is not None
    assert "exec_module" not in vars(module.__spec__.loader)
    __import__("arriving_later")
    monkeypatch.delitem(sys.modules, "arriving_later")
    assert seen == [module]


def test_a_module_that_is_there_is_told_of_at_once() -> None:
    seen: list[ModuleType] = []
    on_import("sys", seen.append)
    assert seen == [sys]
