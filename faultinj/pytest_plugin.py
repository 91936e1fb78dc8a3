"""`@pytest.mark.faults`: a test is run again and again, with one fault more each time, until nothing is left to fail.

Imports pytest alone: what does the work is loaded when a test asks for it. Owns options, settings, the marker and the
fixture. PYTEST_DONT_REWRITE: whoever is under test may have imported this before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from faultinj.guard import Guard

__all__ = ["faults"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and settings."""
    group = parser.getgroup("faultinj", "fault injection")
    group.addoption("--faults", metavar="GLOB", help="sweep every test over the points of these names")
    group.addoption("--faults-n", metavar="KIND:N", help="do one run of a sweep again, such as transient:7")
    group.addoption("--faults-kinds", metavar="LIST", help="kinds of faults, with commas: transient, persistent")
    parser.addini("faults_kinds", "kinds of faults of every sweep, with commas", default="transient,persistent")
    parser.addini("faults_limit", "the most runs of one kind: a sweep that does not end is a failure", default="500")
    parser.addini("faults_limit_s", "seconds that one run may take under its fault: then it is a failure", default="60")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers",
        "faults(*points, kinds=None, raises=None, limit=None, limit_s=None, setup=False): run the test with its n-th "
        "fault, for n = 1, 2, ... until a run injected nothing; points are names or globs, or POINT=nth:ACTION",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A test with the marker is swept here; every other one is pytest's."""
    marker = item.get_closest_marker("faults")
    if marker is None and not item.config.getoption("faults"):
        return None
    from faultinj.testing.sweeping import sweep_item

    return sweep_item(item, nextitem, marker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """With setup=True fixtures are under the fault as well."""
    round_ = item.stash.get(ROUND, None)
    if round_ is None or not round_.wishes.setup:
        return (yield)
    with round_.armed():
        return (yield)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """The fault is armed while the test itself runs, inside of what all others do around it."""
    round_ = item.stash.get(ROUND, None)
    if round_ is None:
        return (yield)
    with round_.armed(judged=True):
        return (yield)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line: tests, runs and faults of all sweeps."""
    every = [report for some in terminalreporter.stats.values() for report in some]
    reports = [report for report in every if hasattr(report, "user_properties")]
    counts = [value for report in reports for name, value in report.user_properties if name == "faults"]
    if counts:
        runs, injected = (sum(count[place] for count in counts) for place in (0, 1))
        terminalreporter.write_line(f"faults: {len(counts)} tests swept in {runs} runs, {injected} faults injected")


@pytest.fixture
def faults() -> Iterator[Callable[..., Guard]]:
    """``with faults("db.connect=nth(2):return") as guard:``: a plan that holds inside the block; `guard.fired` counts.

    Parameters of the call: as faultinj.inject. After the test nothing of it is armed.
    """
    from faultinj.testing.arming import lent
    from faultinj.testing.held import held

    with lent():
        yield held


ROUND: pytest.StashKey[Any] = pytest.StashKey()
"""The run of a sweep that an item is in."""
