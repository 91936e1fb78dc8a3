"""Regression files are written, read back, and judged: a finding that is back, gone, or proves nothing any more."""

from pathlib import Path

import pytest

from faultinj.campaign.regression import (
    Regression,
    RegressionFails,
    check_regression,
    read_regression,
    save_regression,
)
from faultinj.campaign.spec import CampaignUnreadable
from faultinj.record import Finding, Trial
from unit.faultinj.campaign.standin import run_trial

LEAK = Trial(scenario="sea.leaky", kind="transient", n=7, points="zone.*", seed=2)


def test_a_finding_is_kept_as_a_file_that_a_person_reads(tmp_path: Path) -> None:
    outcome = run_trial(LEAK)
    kept = save_regression(tmp_path, outcome, about='the "sea" leaks', imports=("my.faults",))
    (path,) = tmp_path.iterdir()
    assert path.name == "sea.leaky-transient-7-points=zone.--seed=2.toml"
    assert path.read_text() == (
        "# faultinj replay 'sea.leaky/transient/7/points=zone.*/seed=2'\n"
        'about = "the \\"sea\\" leaks"\n'
        'expect = "clean"\n'
        'found = "leak: place 7 leaks 7 items"\n'
        'imports = ["my.faults"]\n'
        "\n"
        "[trial]\n"
        'scenario = "sea.leaky"\n'
        'kind = "transient"\n'
        "n = 7\n"
        'points = "zone.*"\n'
        "seed = 2\n"
    )
    assert read_regression(path) == kept
    with pytest.raises(CampaignUnreadable, match="cannot be written: File exists"):
        save_regression(path, outcome)


def test_a_trial_that_found_nothing_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(CampaignUnreadable, match="found nothing that could be kept"):
        save_regression(tmp_path / "x.toml", run_trial(Trial(scenario="pond.tiny", kind="kill", n=1)))


def test_every_character_survives(tmp_path: Path) -> None:
    outcome = run_trial(LEAK)
    text = 'tab\t line\n quote" back\\ del\x7f bell\x07 ü 🐟'
    save_regression(tmp_path / "x.toml", outcome, about=text)
    assert read_regression(tmp_path / "x.toml").about == text


def regression(n: int, expect: str = "clean") -> Regression:
    return Regression(about="it leaked", expect=expect, trial=Trial(scenario="sea.leaky", kind="transient", n=n))


def test_a_repaired_trial_passes_and_a_finding_that_is_back_fails() -> None:
    check_regression(regression(6), run_trial)
    with pytest.raises(RegressionFails, match=r"it leaked: leak is back: .*; again: faultinj replay sea"):
        check_regression(regression(7), run_trial)


def test_a_known_finding_passes_until_it_is_gone_or_another() -> None:
    check_regression(regression(7, "leak"), run_trial)
    with pytest.raises(RegressionFails, match="'leak' is gone, it came to clean; if it is repaired, write expect"):
        check_regression(regression(6, "leak"), run_trial)
    with pytest.raises(RegressionFails, match="'hang' is gone, it came to leak"):
        check_regression(regression(7, "hang"), run_trial)


def test_a_trial_that_injects_nothing_any_more_fails() -> None:
    with pytest.raises(RegressionFails, match="it proves nothing"):
        check_regression(regression(26), run_trial)


def test_a_wrong_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('about = "x"\n[trial]\nscenario = "a"\nkind = "kil"\nn = 1\n')
    with pytest.raises(CampaignUnreadable, match=r"x\.toml:4: trial\.kind: 'kil' is unknown; did you mean 'kill'"):
        read_regression(path)
    path.write_text('about = " "\n[trial]\nscenario = "a"\nkind = "kill"\nn = 1\n')
    with pytest.raises(CampaignUnreadable, match=r"x\.toml:1: about: say in one sentence"):
        read_regression(path)


def test_findings_are_what_the_record_says() -> None:
    assert run_trial(LEAK).findings == (Finding(kind="leak", detail="place 7 leaks 7 items"),)
