"""The interpreter's own tests, bare and under `witness run`: the same outcome of every test, and which reports.

Owns the comparison and the list of suites with the reports that are right (docs/witness-cpython.md judges them). As a
program it runs every suite whole, prints a line for each, and fails when one differs:
`python tests/e2e/cpython_suites.py [SUITE ...]`. A test that differs is run again, alone and on both sides, before it
counts: the suites themselves depend on how busy the machine is.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from witness.analysis import analyse
from witness.record import read_graph

__all__ = ["EXPECTED", "SUITES", "Comparison", "Outcome", "available", "compare"]

SUITES = (
    "test_threading",
    "test_queue",
    "test_thread",
    "test_threading_local",
    "test_threadsignals",
    "test_threadedtempfile",
    "test_sched",
    "test_logging",
    "test_fork1",
    "test_subprocess",
    "test_concurrent_futures",
    "test_multiprocessing_main_handling",
    "test_multiprocessing_fork",
    "test_multiprocessing_spawn",
)

EXPECTED: dict[str, frozenset[str]] = {"test_logging": frozenset({"logging/__init__.py"})}
"""Files whose locks have a true order problem that the suite brings about."""

ATTEMPTS = 4
DEADLINE_S = 1800.0

DRIVER = """
import json, sys, unittest
from test import support

class Told(unittest.TestResult):
    outcomes = {}

    def startTest(self, test):
        super().startTest(test)
        self.outcomes[test.id()] = "passed"

    def note(self, test, what):
        if self.outcomes.get(test.id(), "passed") == "passed" or what == "failed":
            self.outcomes[test.id()] = what

    def addError(self, test, why):
        super().addError(test, why)
        self.note(test, "failed")
        sys.stderr.write(self.errors[-1][1])

    def addFailure(self, test, why):
        super().addFailure(test, why)
        self.note(test, "failed")
        sys.stderr.write(self.failures[-1][1])

    def addSubTest(self, test, part, why):
        super().addSubTest(test, part, why)
        if why is not None:
            self.note(test, "failed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped")

    def addExpectedFailure(self, test, why):
        super().addExpectedFailure(test, why)
        self.note(test, "failed as expected")

if __name__ == "__main__":
    support.use_resources = ()
    support.verbose = 0
    told = Told()
    unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:]).run(told)
    with open(sys.argv[1], "w") as out:
        json.dump(told.outcomes, out)
    sys.exit(0 if told.wasSuccessful() else 2)
"""


@dataclass(frozen=True)
class Outcome:
    """One run. tests: how each ended; reports: the files and titles of what the checker found."""

    status: int
    seconds: float
    tests: dict[str, str]
    reports: dict[str, str] = field(default_factory=dict)
    words: str = ""


@dataclass(frozen=True)
class Comparison:
    """The first run of both, and the tests that differed in that and every later one."""

    bare: Outcome
    watched: Outcome
    different: dict[str, tuple[str, str]]

    @property
    def reports(self) -> dict[str, str]:
        """What the checker found: title by key."""
        return self.watched.reports


def available(suite: str) -> bool:
    """Whether this interpreter was installed with the suite."""
    return find_spec("test") is not None and find_spec(f"test.{suite}") is not None


def start(names: Sequence[str], place: Path, *, watched: bool) -> subprocess.Popen[str]:
    """Run tests by name in a new interpreter that writes into this directory."""
    place.mkdir()
    driver = place / "driver.py"
    driver.write_text(DRIVER)
    witness = ["-m", "witness.cli", "run", "--keep-status", "--record", str(place / "graph.json")] if watched else []
    command = [sys.executable, *witness, str(driver), str(place / "outcomes.json"), *names]
    with (place / "words").open("w") as words:
        return subprocess.Popen(command, stdout=words, stderr=subprocess.STDOUT, cwd=place, text=True)


def ended(child: subprocess.Popen[str], place: Path, began: float) -> Outcome:
    """Wait for such a run. Raises: TimeoutExpired."""
    try:
        status = child.wait(DEADLINE_S)
    finally:
        child.kill()
    outcomes, record = place / "outcomes.json", place / "graph.json"
    reports = {}
    if record.exists():
        for finding in analyse(read_graph(record)).findings:
            reports[finding.key] = finding.title
    return Outcome(
        status=status,
        seconds=time.monotonic() - began,
        tests=json.loads(outcomes.read_text()) if outcomes.exists() else {},
        reports=reports,
        words=(place / "words").read_text(errors="replace"),
    )


def compare(names: Sequence[str], *, together: bool = False) -> Comparison:
    """Run these tests bare and under witness. together: at the same time, when the wall time is of no interest."""
    first: tuple[Outcome, Outcome] | None = None
    different: dict[str, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for attempt in range(ATTEMPTS):
            bare, watched = both(names, Path(directory), attempt, together=together)
            first = first or (bare, watched)
            different = differences(bare, watched)
            if not different:
                break
            if all(name.startswith("test.") for name in different):
                names = list(different)  # what is told of whole classes and modules cannot be run alone
    assert first is not None
    return Comparison(*first, different)


def both(names: Sequence[str], directory: Path, attempt: int, *, together: bool) -> tuple[Outcome, Outcome]:
    """One round."""
    outcomes, running = [], []
    for how in ("bare", "watched"):
        place, began = directory / f"{how}{attempt}", time.monotonic()
        running.append((start(names, place, watched=how == "watched"), place, began))
        if not together:
            outcomes.append(ended(*running.pop()))
    outcomes += [ended(*one) for one in running]
    return outcomes[0], outcomes[1]


def differences(bare: Outcome, watched: Outcome) -> dict[str, tuple[str, str]]:
    """Tests that ended otherwise, by name; the exit status counts as one of them."""
    found = {
        name: (bare.tests.get(name, "not run"), watched.tests.get(name, "not run"))
        for name in bare.tests | watched.tests
        if bare.tests.get(name) != watched.tests.get(name)
    }
    if not found and bare.status != watched.status:
        found["exit status"] = (str(bare.status), str(watched.status))
    return found


def unexpected(suite: str, reports: dict[str, str]) -> list[str]:
    """Titles of reports that nobody has judged."""
    files = EXPECTED.get(suite, frozenset())
    return [title for title in reports.values() if not any(file in title for file in files)]


def main(wanted: Sequence[str]) -> int:
    """Run whole suites. Returns 1 when one of them is not the same under witness."""
    failed = False
    for suite in wanted or SUITES:
        if not available(suite):
            print(f"{suite}: this interpreter was installed without it", flush=True)
            continue
        seen = compare([f"test.{suite}"])
        strange = unexpected(suite, seen.reports)
        failed = failed or bool(seen.different or strange)
        print(
            f"{suite}: {len(seen.bare.tests)} tests, status {seen.bare.status} and {seen.watched.status}, "
            f"{seen.bare.seconds:.1f} s and {seen.watched.seconds:.1f} s "
            f"({seen.watched.seconds / seen.bare.seconds:.2f}x), "
            f"{len(seen.reports)} reports, {len(strange)} of them not judged",
            flush=True,
        )
        for name, (bare, watched) in seen.different.items():
            print(f"  {name}: {bare} bare, {watched} under witness")
        for title in seen.reports.values():
            print(f"  {title}{' (not judged)' if title in strange else ''}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
