"""The table of planted faults is still about this tree, and the hunt takes nothing for found that is not.

Planting, building and sweeping is `make soak`'s; here everything but that.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from faultinj.campaign.shrink import Shrunk, Step
from faultinj.record import Finding, Injection, Kind, Outcome, SweepResult, Trial
from faultinj.report.sarif import as_sarif
from faultinj.report.verdict import Verdict
from faultinj.sweep import find, select
from faultinj.sweep.registry import KINDS
from faultruns import clean_run
from plants.hunt import Missed, hunt
from plants.table import Fault, NotThere, planted_text, read_faults
from plants.tree import ROOT

FAULTS = read_faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_has_its_place_once_in_the_source_and_changes_it(fault: Fault) -> None:
    text = (ROOT / fault.file).read_text()
    assert planted_text(text, fault) != text


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_names_scenarios_kinds_and_a_finding_that_there_are(fault: Fault) -> None:
    for scenario in select(fault.scenarios):
        assert set(fault.kinds) <= set(KINDS) & set(scenario.kinds)
    told = as_sarif(Verdict(clean_run()))["runs"][0]["tool"]["driver"]["rules"]
    assert fault.expect in {rule["id"].replace("-", " ") for rule in told}


def test_names_are_unique_and_the_documentation_tells_each() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names))
    page = (ROOT / "docs/faultinj-sweep.md").read_text()
    assert [name for name in names if f"`{name}`" not in page] == []


def test_a_text_that_is_gone_or_there_twice_is_named() -> None:
    fault = FAULTS[0]
    for text in ("", fault.old * 2):
        with pytest.raises(NotThere, match=rf"{fault.name}: .* {text.count(fault.old)} times, not once"):
            planted_text(text, fault)


# ---------------------------------------------------------------- the hunt's judgement

PLANTED = Fault(
    name="made-up",
    about="a leak",
    file="no.c",
    old="a",
    new="b",
    scenarios=("zone.alloc", "zone.limit"),
    kinds=("transient",),
    expect="leak",
    says="1 items",
)


def _outcome(scenario: str, n: int, *found: Finding, kind: Kind = "transient", points: str = "*") -> Outcome:
    injected = (Injection(point="zone.ctor", action="return", sequence=n),) if n else ()
    trial = Trial(scenario=find(scenario).name, kind=kind, n=n, points=points)
    return Outcome(trial=trial, verdict="finding" if found else "clean", result="x", injected=injected, findings=found)


LEAK = Finding(kind="leak", detail="1 items are held")
OTHER = Finding(kind="leak", detail="something else")


class Copy:
    """What the commands say in one copy of the tree: a stand-in for `faultinj` there."""

    def __init__(
        self, *outcomes: Outcome, shrunk: bool = True, again: tuple[Finding, ...] = (LEAK,), beyond: bool = False
    ) -> None:
        self.outcomes = outcomes
        self.shrunk = shrunk
        self.again = again
        self.beyond = beyond
        self.asked: list[Sequence[str]] = []

    def __call__(self, arguments: Sequence[str], timeout_s: float) -> tuple[int, str, str]:
        self.asked.append(arguments)
        if arguments[0] == "sweep":
            return self._sweep(Path(arguments[arguments.index("--json") + 1]))
        small = _outcome("zone.alloc", 1, *self.again, points="zone.ctor")
        if arguments[0] == "replay":
            assert arguments[1] == small.trial.id
            if self.beyond:
                small = msgspec.structs.replace(small, verdict="nothing injected", injected=())
            return int(bool(small.findings)), msgspec.json.encode(small).decode(), ""
        step = Step(change="only zone.ctor, n = 1", trial=small.trial.id, shows=True)
        shrunk = Shrunk(finding="leak", trial=small.trial, outcome=small, steps=(step,), fixpoint=self.shrunk)
        return 0, msgspec.json.encode(shrunk).decode(), ""

    def _sweep(self, told: Path) -> tuple[int, str, str]:
        result: SweepResult = msgspec.structs.replace(
            clean_run(),
            trials=9,
            outcomes=self.outcomes,
            findings=tuple(finding for outcome in self.outcomes for finding in outcome.findings),
        )
        told.write_bytes(msgspec.json.encode(result))
        return int(bool(self.outcomes)), "", ""


def test_a_fault_is_found_when_it_is_swept_shrunk_shown_again_and_gone_without_it(tmp_path: Path) -> None:
    planted = Copy(_outcome("zone.alloc", 7, LEAK), _outcome("zone.alloc", 4, OTHER), _outcome("zone.alloc", 5, LEAK))
    found = hunt(PLANTED, planted, Copy(again=()), tmp_path)
    assert (found.first, found.smallest) == ("zone.alloc/transient/5", "zone.alloc/transient/1/points=zone.ctor")
    assert (found.trials, found.findings, found.steps, found.detail) == (9, 3, 1, LEAK.detail)
    assert planted.asked[0][:3] == ["sweep", "zone.alloc", "zone.limit"]
    assert planted.asked[1][:3] == ["campaign", "shrink", found.first]
    json.loads(msgspec.json.encode(found))


def test_the_whole_sweep_is_asked_for_no_scenario(tmp_path: Path) -> None:
    planted = Copy(_outcome("zone.alloc", 5, LEAK))
    hunt(PLANTED, planted, Copy(again=()), tmp_path, whole=True)
    assert planted.asked[0][:2] == ["sweep", "--kinds"]


@pytest.mark.parametrize(
    ("planted", "clean", "why"),
    [
        (Copy(), Copy(again=()), "9 trials, no 'leak' among the findings: nothing"),
        (Copy(_outcome("zone.alloc", 5, OTHER)), Copy(again=()), "no 'leak' among the findings: leak"),
        (Copy(_outcome("zone.limit", 0, LEAK), _outcome("zone.limit", 5, LEAK)), Copy(again=()), "no 'leak' among"),
        (Copy(_outcome("zone.alloc", 5, LEAK), shrunk=False), Copy(again=()), "was not shrunk to the end"),
        (Copy(_outcome("zone.alloc", 5, LEAK), again=()), Copy(again=()), "ended with status 0, not 1"),
        (Copy(_outcome("zone.alloc", 5, LEAK)), Copy(), "ended with status 1, not 0"),
        (Copy(_outcome("zone.alloc", 5, LEAK)), Copy(again=(), beyond=True), "is not clean: nothing injected"),
    ],
    ids=[
        "nothing",
        "another finding",
        "found without a fault",
        "not shrunk",
        "not shown again",
        "not the planted fault's",
        "no fault without it",
    ],
)
def test_what_is_short_of_that_is_missed(planted: Copy, clean: Copy, why: str, tmp_path: Path) -> None:
    with pytest.raises(Missed, match=why):
        hunt(PLANTED, planted, clean, tmp_path)
