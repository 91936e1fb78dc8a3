"""A sample of the sweep, of another part of the scenarios each day; the whole of it is in `make soak`.

FAULTINJ_SEED=N replays a day.
"""

import datetime
import os
import random

import pytest

from faultinj.record import Outcome
from faultinj.sweep import names, run_cell, select
from faultinj.sweep.context import BEGINNING, own_objects
from faultinj.sweep.driver import Sweep
from faultinj.sweep.nursery import Nursery

SEED = int(os.environ.get("FAULTINJ_SEED", datetime.datetime.now(datetime.UTC).strftime("%Y%j")))
CHOSEN = 6


def _told(outcome: Outcome) -> str:
    return f"faultinj replay '{outcome.trial.id}': " + "; ".join(f"{f.kind}: {f.detail}" for f in outcome.findings)


def test_a_sample_of_scenarios_survives_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f" FAULTINJ_SEED={SEED}", end="")
    shipped = [name for name in names() if not name.startswith("planted.")]  # those have mistakes on purpose
    drawn = random.Random(SEED).sample(shipped, CHOSEN)
    with Nursery() as nursery:
        for name in drawn:
            for kind in ("transient", "kill"):
                outcomes = run_cell(name, kind, last=60, oracles=[], at=nursery)
                assert not [_told(o) for o in outcomes if o.findings], f"FAULTINJ_SEED={SEED}"


def test_an_allocation_is_swept_to_its_end_with_each_kind() -> None:
    sweep = Sweep(select(["zone.alloc"]), kinds=("transient", "persistent", "kill"), oracles=[], jobs=2)
    result = sweep.run()
    assert [_told(o) for o in result.outcomes] == []
    assert all(cell.exhausted for cell in result.cells)
    assert {cell.kind for cell in result.cells} == {"transient", "persistent", "kill"}
    assert result.injected == result.trials - 3  # each cell's last run injected nothing
    rows = {row.point: row for row in result.points}
    assert rows["zone.ctor"].injected >= 2
    assert rows["zone.ctor"].clean_error >= 2
    assert rows["crash.step"].killed >= 10
    assert "queue.put" in result.never_reached
    assert own_objects(f"{BEGINNING}{os.getpid()}-") == []


def test_a_forked_child_that_dies_in_its_first_allocation_leaves_no_item() -> None:
    with Nursery() as nursery:
        outcomes = run_cell("process.fork", "kill", oracles=[], at=nursery)
    assert [_told(o) for o in outcomes if o.findings] == []
    assert len(outcomes) > 10
    # A death of the child is an injection like any other: a campaign ends the cell at a run that injected nothing.
    assert [o.verdict for o in outcomes] == ["clean"] * (len(outcomes) - 1) + ["nothing injected"]


def test_points_are_chosen_by_their_names() -> None:
    with Nursery() as nursery:
        outcomes = run_cell("zone.alloc_many", "transient", "keg.*", oracles=[], at=nursery)
    assert {i.point for o in outcomes for i in o.injected} == {"keg.init"}
    assert outcomes[-1].verdict == "nothing injected"


def test_the_same_trial_comes_to_the_same_outcome() -> None:
    with Nursery() as nursery:
        first, second = (run_cell("zone.secondary", "persistent", oracles=[], last=20, at=nursery) for _ in range(2))
    plain = [(o.trial, o.result, o.verdict, [(i.point, i.subject, i.sequence) for i in o.injected]) for o in first]
    assert plain == [
        (o.trial, o.result, o.verdict, [(i.point, i.subject, i.sequence) for i in o.injected]) for o in second
    ]


def test_two_faults_are_tried_up_to_the_bound() -> None:
    sweep = Sweep(select(["queue.put"]), kinds=(), pairs=12, oracles=[], jobs=2)
    result = sweep.run()
    assert [_told(o) for o in result.outcomes] == []
    by_kind = {cell.kind: cell for cell in result.cells}
    assert set(by_kind) == {"pair", "kill-pair"}
    assert by_kind["kill-pair"].trials >= 12
