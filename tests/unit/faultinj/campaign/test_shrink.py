"""A failing trial shrinks to the smallest that shows the same kind of finding, the same way every time."""

from collections.abc import Callable

import pytest

from faultinj.campaign.shrink import DoesNotFail, shrink
from faultinj.record import Finding, Injection, Outcome, Trial
from faultinj.trial_id import parse_trial

Runner = Callable[[Trial], Outcome]


def fails_if(condition: Callable[[Trial], bool], kind: str = "leak", point: str = "zone.ctor") -> Runner:
    """A runner whose trials show a finding when the condition holds; they always inject this point."""

    def run(trial: Trial) -> Outcome:
        bad = condition(trial)
        return Outcome(
            trial=trial,
            verdict="finding" if bad else "clean",
            result="success",
            injected=(Injection(point=point, action=trial.kind, sequence=trial.n),),
            findings=(Finding(kind=kind, detail="x"),) if bad else (),
            reached={point: 4, "page.commit": 100},
        )

    return run


def at(text: str) -> Trial:
    return parse_trial(text)


def test_everything_that_does_not_matter_is_left_out() -> None:
    # Any trial whose fault hits zone.ctor from its second time on leaks.
    def leaks(trial: Trial) -> bool:
        return trial.n >= (2 if trial.points == "zone.ctor" else 5)

    shrunk = shrink(at("zone.alloc/pair/40+3/points=zone.*/seed=9"), fails_if(leaks))
    assert shrunk.trial.id == "zone.alloc/transient/2/points=zone.ctor"
    assert shrunk.fixpoint
    assert shrunk.steps[0].trial == "zone.alloc/transient/40/points=zone.*/seed=9"
    assert [(step.trial, step.shows) for step in shrunk.steps[-2:]] == [
        ("zone.alloc/transient/1/points=zone.ctor", False),
        ("zone.alloc/transient/2/points=zone.ctor", True),
    ]


def test_what_matters_stays() -> None:
    pair = shrink(at("a/pair/3+2"), fails_if(lambda t: t.kind == "pair" and t.n == 3 and t.n2 == 2))
    assert pair.trial.id == "a/pair/3+2/points=zone.ctor"
    lasting = shrink(at("a/persistent/1/seed=4"), fails_if(lambda t: t.kind == "persistent" and t.seed == 4))
    assert lasting.trial.id == "a/persistent/1/points=zone.ctor/seed=4"
    kill = shrink(at("a/kill-pair/3+2"), fails_if(lambda t: t.n == 3))
    assert kill.trial.id == "a/kill/3"


def test_another_kind_of_finding_is_not_the_same() -> None:
    def run(trial: Trial) -> Outcome:
        return fails_if(lambda t: True, kind="leak" if trial.n >= 6 else "hang")(trial)

    assert shrink(at("a/kill/9"), run).trial.id == "a/kill/6"
    with pytest.raises(DoesNotFail, match=r"a/kill/9 does not show 'hang': it came to leak; see it with: fault"):
        shrink(at("a/kill/9"), run, finding="hang")


def test_terms_of_a_program_are_left_out_until_each_is_needed() -> None:
    program = "zone.ctor=3*off->1*return(CTOR);os.open=nth(2):return(ENOSPC);page.commit=sleep(1);q='a;b'->print('->')"

    def needs(trial: Trial) -> bool:
        return "return(CTOR)" in str(trial.program) and "sleep(1)" in str(trial.program)

    run = fails_if(needs)
    first = shrink(Trial(scenario="a", kind="transient", n=1, program=program), run)
    assert first.trial.program == "zone.ctor=1*return(CTOR);page.commit=sleep(1)"
    assert first == shrink(Trial(scenario="a", kind="transient", n=1, program=program), run)


def test_it_stops_when_its_trials_are_used_up_and_says_so() -> None:
    shrunk = shrink(at("a/kill/99"), fails_if(lambda t: t.n >= 50), most=10)
    assert len(shrunk.steps) == 10
    assert not shrunk.fixpoint
    assert shrunk.trial.id == "a/kill/99"


def test_no_trial_is_run_twice() -> None:
    run: list[str] = []

    def counted(trial: Trial) -> Outcome:
        run.append(trial.id)
        return fails_if(lambda t: t.n in (7, 20) or t.points != "*")(trial)

    shrink(at("a/persistent/20"), counted)
    assert len(run) == len(set(run))
