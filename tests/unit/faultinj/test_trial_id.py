"""A trial's id is read back as it was written, and what is none is refused with the reason."""

import pytest

from faultinj.record import Trial
from faultinj.trial_id import TrialIdError, parse_trial, replay_command


@pytest.mark.parametrize(
    "trial",
    [
        Trial(scenario="zone.alloc", kind="transient", n=3),
        Trial(scenario="zone.alloc", kind="kill-pair", n=3, n2=14),
        Trial(
            scenario="a", kind="pair", n=1, n2=2, points="zone.*", seed=-7, program="zone.ctor=50%2*return(SM_LIMIT)"
        ),
        Trial(scenario="a", kind="persistent", n=12, program="a/b=nth(3):return"),
        Trial(scenario="a", kind="transient", n=1, points="net/eth*", seed=3),
        Trial(scenario="s", kind="pair", n=1, n2=1, program="a/b=nth(2):return(EIO)/x;c=panic"),
        Trial(scenario="s", kind="kill", n=1, seed=2, points="a/b"),
    ],
    ids=lambda trial: trial.id,
)
def test_an_id_names_its_trial(trial: Trial) -> None:
    assert parse_trial(trial.id) == trial


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zone.alloc",
        "zone.alloc/sometimes/3",
        "a/pair/x",
        "a/pair/3+",
        "a/pair/3",
        "a/kill/3+1",
        "a/kill/0",
        "a/pair/1+0",
        f"a/kill/{'9' * 30}",
        "a/kill/\u0663",
        "a/kill/1/colour=red",
        "a/kill/1/seed=x",
        f"a/kill/1/seed={'9' * 5000}",
    ],
)
def test_a_word_that_names_no_trial_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(TrialIdError, match="names no trial"):
        parse_trial(text)


def test_the_command_that_replays_is_quoted_for_a_shell() -> None:
    assert replay_command(parse_trial("a/kill/3")) == "faultinj replay a/kill/3"
    assert replay_command(parse_trial("a/kill/3/points=z*")) == "faultinj replay 'a/kill/3/points=z*'"
