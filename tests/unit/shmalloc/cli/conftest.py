"""A way to call the command line in this process and see what a person would see."""

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from shmalloc import Arena, cli
from shmalloc.errors import ArenaNotFound


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call `shmalloc` with these arguments, as its script does."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["shmalloc", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        seen = capsys.readouterr()
        return Outcome(int(left.value.code or 0), seen.out, seen.err)

    return call


@pytest.fixture
def arena() -> Iterator[Arena]:
    """A small arena with one zone, gone after the test."""
    name = f"test-cli-{os.getpid()}-{secrets.token_hex(4)}"
    with Arena.create(name, max_size="4M") as made:
        made.zone("frame", size=256)
        yield made
    try:
        Arena.unlink_name(name)
    except ArenaNotFound:
        return  # the test itself removed it
