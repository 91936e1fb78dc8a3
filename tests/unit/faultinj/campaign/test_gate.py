"""Suppressions end with their day, and the gate says what is not good enough."""

import datetime
from collections.abc import Callable

from faultinj.campaign.gate import judge_gate, sift
from faultinj.campaign.run import run_campaign
from faultinj.campaign.spec import Gate, Suppression
from faultinj.campaign.standing import standing_of
from faultinj.campaign.store import Store, load_result
from faultinj.record import Trial
from unit.faultinj.campaign.conftest import STANDIN, WHOLE
from unit.faultinj.campaign.standin import run_trial

DAY = datetime.date(2027, 6, 30)
LEAKS = [run_trial(Trial(scenario="sea.leaky", kind="kill", n=n)) for n in (7, 14)]


def test_a_rule_suppresses_what_all_its_globs_match() -> None:
    rule = Suppression(reason="r", scenario="sea.*", kind="kill", finding="leak", detail="place 7 *", point="zone.*")
    sifted = sift(LEAKS, [rule], today=DAY)
    assert [(outcome.trial.n, by.reason) for outcome, _, by in sifted.suppressed] == [(7, "r")]
    assert [outcome.trial.n for outcome, _ in sifted.kept] == [14]


def test_a_rule_holds_on_its_last_day_and_suppresses_nothing_after_it() -> None:
    rule = Suppression(reason="r", finding="leak", expires=DAY)
    assert sift(LEAKS, [rule], today=DAY).kept == ()
    late = sift(LEAKS, [rule], today=DAY + datetime.timedelta(days=1))
    assert len(late.kept) == 2
    assert late.expired == (rule,)
    assert late.unused == ()


def test_a_rule_that_matches_nothing_is_told() -> None:
    rules = [Suppression(reason="r", finding="leak"), Suppression(reason="s", finding="leak")]
    assert sift(LEAKS, rules, today=DAY).unused == (rules[1],)


def test_the_gate_tells_findings_coverage_points_and_empty_scenarios(new_store: Callable[..., Store]) -> None:
    store = new_store()
    run_campaign(store, driver=STANDIN)
    result = load_result(store.path)
    assert judge_gate(Gate(max_findings=0, coverage=0.9), result, 3, 0) == (
        "3 findings, and 0 are allowed",
        "nothing was ever injected into void.empty: these scenarios prove nothing",
    )
    assert judge_gate(Gate(max_findings=3, coverage=1.0, points=("zone.*", "moon.*")), result, 3, 1) == (
        "never injected, though asked for: moon.phase; 1 cells are unfinished",
    )


def test_coverage_counts_points_that_nobody_argued_for(new_store: Callable[..., Store]) -> None:
    store = new_store(WHOLE.replace('scenarios = ["*"]', 'scenarios = ["pond.tiny"]\nn = 1'))
    run_campaign(store, driver=STANDIN)
    result = load_result(store.path)
    assert judge_gate(Gate(coverage=0.3), result, 0, 0) == ()
    assert judge_gate(Gate(coverage=0.5), result, 0, 0) == ("1 of 3 points were injected, 33.3%, and 50.0% are asked",)


def test_a_standing_says_what_is_left_and_how_to_go_on(new_store: Callable[..., Store]) -> None:
    store = new_store(WHOLE + '[[suppress]]\nreason = "known"\nfinding = "leak"\nkind = "kill"\n')
    fresh = standing_of(store)
    assert (fresh.state, fresh.passed, fresh.trials) == ("not begun", False, 0)
    assert fresh.resume == f"faultinj campaign run all --db {store.path} --resume"
    run_campaign(store, driver=STANDIN)
    standing = standing_of(store)
    assert (standing.state, standing.passed, standing.resume) == ("done", False, None)
    assert [told.replay for told in standing.findings[:2]] == [
        "faultinj replay sea.leaky/transient/7",
        "faultinj replay sea.leaky/transient/14",
    ]
    assert len(standing.findings) == 6
    assert {told.suppressed for told in standing.suppressed} == {"known"}
    assert len(standing.suppressed) == 3
