"""The sweep of one test: n = 1, 2, ... until a run injected nothing. Owns the rounds, and what is reported of them.

Each round is a whole run of the test, with fixtures of its own. Source of the method: SQLite's and OpenSSL's
allocation-failure tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from faultinj import declared, process
from faultinj._faultinj import OFF, PERSISTENT, TRANSIENT, Block
from faultinj.grammar import GrammarError
from faultinj.plan import PlanError, UnknownPoint
from faultinj.program import Setting
from faultinj.pytest_plugin import ROUND
from faultinj.run.places import chosen
from faultinj.series import nth_program, points_of, series_of
from faultinj.testing import system
from faultinj.testing.arming import lent
from faultinj.testing.patience import Patience
from faultinj.testing.wishes import Wishes, wishes_of
from shmalloc.errors import ShmallocError

__all__ = ["Round", "sweep_item"]

_MOST_FAILURES = 5
_KINDS = {"transient": TRANSIENT, "persistent": PERSISTENT}
_injected: list[BaseException] = []  # the errors that declared points raised in this round
declared.observe(lambda point, error: _injected.append(error))


class Round:
    """One run of a test with one fault. `excused`: what it raised was the fault, cleanly reported; `overdue`: where it
    was when its time was over."""

    def __init__(self, item: Any, wishes: Wishes, block: Block, kind: str, n: int) -> None:
        self.item = item
        self.wishes = wishes
        self.block = block
        self.kind = kind
        self.n = n
        self.excused: str | None = None
        self.overdue: str | None = None
        self._set: list[int] = []

    @contextmanager
    def armed(self, *, judged: bool = False) -> Iterator[None]:
        """The fault can happen; judged: an error that it makes is none of the test's."""
        names = self._arm()
        patience = Patience(self.wishes.limit_s, self._disarm)
        try:
            # The thread that waits for the limit is there before the test's calls count, and so is none of the test's.
            with patience, system.in_place(names if judged else ()):
                yield
        except BaseException as error:
            self._disarm()
            if not (judged and self.injected and self._clean(error)):
                raise
            self.excused = type(error).__name__
        else:
            if judged:
                self._disarm()
                self._excuse_kept()
        finally:
            self._disarm()
            self.overdue = self.overdue or patience.stacks

    def _excuse_kept(self) -> None:
        """A unittest.TestCase raises nothing: pytest keeps its errors at the item, for the report."""
        kept = getattr(self.item, "_excinfo", None)
        if self.injected and kept and self._clean(kept[0].value):
            self.excused = type(kept[0].value).__name__
            del self.item._excinfo

    def _arm(self) -> list[str]:
        """Returns: the names of the points that can fail now."""
        names = self.block.names()
        armed: list[str] = []
        selected: list[int] = []
        for wish in self.wishes.points:
            points = points_of(wish)
            found = chosen(points, names)
            if not found:
                raise UnknownPoint(points, names)
            armed += found
            numbers = [names.index(name) for name in found]
            program = nth_program(wish, self.kind, self.n)
            if program is None:
                selected += numbers
            else:
                process.apply((Setting(points, program),), self.block)
                self._set += numbers
        if selected:
            self.block.sweep(_KINDS[self.kind], self.n, 0, selected)
        return armed

    def _disarm(self) -> None:
        """May be called by several threads."""
        self.block.sweep(OFF)
        for number in tuple(self._set):
            self.block.program(number, None)

    @property
    def injected(self) -> int:
        """Faults injected in this round so far."""
        return len(self.block.injections())

    def places(self) -> str:
        """Where: the points, and in whose name."""
        rows = dict.fromkeys((row[1], row[3]) for row in self.block.injections())
        return ", ".join(point if subject is None else f"{point} ({subject})" for point, subject in rows) or "nowhere"

    def _clean(self, error: BaseException) -> bool:
        if self.wishes.raises is not None:
            return isinstance(error, self.wishes.raises)
        chain: BaseException | None = error
        of_memory = any(row[1] == "memory.alloc" for row in self.block.injections())
        while chain is not None:
            if of_memory and isinstance(chain, MemoryError):
                return True
            if isinstance(chain, ShmallocError) or any(chain is one for one in _injected):
                return True
            chain = chain.__cause__  # said to come of it; what merely came up while it was handled is another error
        return False


def sweep_item(item: pytest.Item, nextitem: pytest.Item | None, marker: pytest.Mark | None) -> bool:
    """Sweep a test and report it once. Returns: True, so that nobody else runs it."""
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    try:
        reports = _swept(item, nextitem, wishes_of(marker, item.config))
    except (ValueError, PlanError, GrammarError) as error:
        reports = [_report(item, f"{error}", 0, 0)]
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _swept(item: pytest.Item, nextitem: pytest.Item | None, wishes: Wishes) -> list[pytest.TestReport]:
    failures: list[str] = []
    runs = injected = 0
    with lent() as block:  # a name that no point has is said once, and not in each run
        system.declare()
        series = series_of(wishes.points, block.names(), chosen)
    for points, kind in product(series, wishes.kinds):
        wishes = replace(wishes, points=points)
        if wishes.only is not None and kind != wishes.only[0]:
            continue
        for n in range(1, wishes.limit + 1) if wishes.only is None else (wishes.only[1],):
            reports, text, faults = _round(item, nextitem, wishes, kind, n)
            runs += 1
            injected += faults
            if any(report.skipped for report in reports):
                return reports
            if text is not None:
                failures.append(text)
            if (faults == 0 and wishes.only is None) or len(failures) >= _MOST_FAILURES:
                break
        else:
            if wishes.only is None:
                failures.append(
                    f"{kind}: {wishes.limit} runs, and each injected a fault: it does not end; raise `limit`?"
                )
    if not failures and injected == 0:
        wanted = ", ".join(point for points in series for point in points)
        failures.append(f"nothing was ever injected at {wanted}: it proves nothing")
    return [_report(item, "\n\n".join(failures), runs, injected)]


def _round(
    item: pytest.Item, nextitem: pytest.Item | None, wishes: Wishes, kind: str, n: int
) -> tuple[list[pytest.TestReport], str | None, int]:
    """The reports of one run, what is wrong with it, and how many faults there were."""
    _injected.clear()
    with lent() as block:
        system.declare()
        one = Round(item, wishes, block, kind, n)
        item.stash[ROUND] = one
        try:
            if hasattr(item, "_initrequest"):
                item._initrequest()  # fixtures of its own
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
        finally:
            del item.stash[ROUND]
            _injected.clear()
        wrong = [f"{report.when}: {report.longreprtext}" for report in reports if report.failed]
        if one.overdue is not None:
            wrong.insert(0, f"did not end in {wishes.limit_s:g} s under a {kind} fault; it was here:\n{one.overdue}")
        if not wrong:
            return reports, None, one.injected
        told = "\n".join(wrong)
        if one.injected == 0:
            return reports, f"without a fault (n = {n}, after those before it):\n{told}", 0
        head = f"{kind} n = {n}, injected at {one.places()}; again with: pytest {item.nodeid} --faults-n {kind}:{n}"
        return reports, f"{head}\n{told}", one.injected


def _report(item: pytest.Item, failure: str, runs: int, injected: int) -> pytest.TestReport:
    more: list[tuple[str, Any]] = (
        [*item.user_properties, ("faults", [runs, injected])] if runs else item.user_properties
    )
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome="failed" if failure else "passed",
        longrepr=failure or None,
        when="call",
        user_properties=more,
    )
