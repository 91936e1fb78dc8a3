"""A process is called by its script or module, whenever it is asked."""

import sys

import pytest

from witness.title import title

ARGUMENTS = [
    (["/srv/app.py", "-v"], ["python3", "/srv/app.py", "-v"], "app.py"),
    (["-m", "-v", "-m"], ["python3", "-X", "dev", "-m", "package.server", "-v", "-m"], "package.server"),
    (["-m"], ["python3", "-mserver"], "server"),
    (["/srv/package/server.py"], ["python3", "-m", "package.server"], "server.py"),
    (["-c"], ["python3", "-c", "pass"], "-c"),
    ([""], ["python3"], "python"),
    ([], [], "python"),
]


@pytest.mark.parametrize(("arguments", "original", "expected"), ARGUMENTS)
def test_a_process_has_the_name_of_its_program(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], original: list[str], expected: str
) -> None:
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert title() == expected
