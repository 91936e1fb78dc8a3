"""A trial by its id, and the one command that runs it again. Owns the reading of Trial.id; the record owns the
writing."""

from __future__ import annotations

import re
import shlex
from typing import get_args

from faultinj.campaign.spec import near
from faultinj.record import Kind, Trial

__all__ = ["NoTrial", "replay_command", "trial_of"]

_FORM = re.compile(
    r"(?P<scenario>[^/]+)/(?P<kind>[^/]+)/(?P<n>[1-9][0-9]{0,17})(?:\+(?P<n2>[1-9][0-9]{0,17}))?"
    r"(?:/points=(?P<points>.+?))?(?:/seed=(?P<seed>-?[0-9]{1,18}))?(?:/program=(?P<program>.+))?",
    re.DOTALL,
)


class NoTrial(ValueError):
    """A text is no trial's id. Field: text."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"{text!r} names no trial: {why}; write scenario/kind/n, as a finding's command does")
        self.text = text


def trial_of(text: str) -> Trial:
    """Read a trial's id, such as ``zone.alloc/pair/3+1/points=zone.*/seed=7``.

    Raises: NoTrial.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise NoTrial(text, "it has another form")
    kinds = get_args(Kind)
    kind = next((known for known in kinds if known == found["kind"]), None)
    if kind is None:
        raise NoTrial(text, f"{found['kind']!r} is no kind of fault; {near(found['kind'], kinds)}")
    return Trial(
        scenario=found["scenario"],
        kind=kind,
        n=int(found["n"]),
        n2=int(found["n2"] or 0),
        points=found["points"] or "*",
        seed=int(found["seed"] or 0),
        program=found["program"],
    )


def replay_command(trial: Trial) -> str:
    """The command that runs a trial again, quoted for a shell."""
    return f"faultinj replay {shlex.quote(trial.id)}"
