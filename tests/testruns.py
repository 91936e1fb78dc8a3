"""Projects of a few lines whose tests run under `pytest --witness`, in a pytest of their own."""

from pathlib import Path

import psutil
import pytest

BANK = """
import threading

accounts = threading.Lock()
ledger = threading.RLock()

def transfer():
    with accounts:
        with ledger:
            pass

def audit():
    with ledger:
        with accounts:
            pass
"""
TESTS = """
import bank

def test_transfer():
    bank.transfer()

def test_audit():
    bank.audit()

def test_audit_again():
    bank.audit()
"""


def bank_project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the module `bank`."""
    pytester.makepyfile(bank=BANK)
    pytester.makeini("[pytest]\npythonpath = .\n")
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A run in a process of its own; no graph of it may be left."""
    before = orphans()
    result = project.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=100)
    assert orphans() <= before
    return result


def orphans() -> set[str]:
    """The graphs of test runs that have a name still, and whose maker is gone."""
    names = (entry.name for entry in Path("/dev/shm").iterdir() if "witness-pytest-" in entry.name)
    return {name for name in names if not psutil.pid_exists(int(name.rpartition("-")[2]))}


def output(result: pytest.RunResult) -> str:
    """What it printed."""
    return "\n".join(result.outlines)
