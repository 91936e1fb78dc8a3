"""From the word that names a trial back to the trial, and the command that runs it again. Owns the reading side of the
grammar; Trial.id is the writing side."""

import re
import shlex
from typing import cast, get_args

from faultinj.record import Kind, Trial

__all__ = ["TrialIdError", "parse_trial", "replay_command"]

_KINDS: tuple[str, ...] = get_args(Kind)

_N = re.compile(r"[1-9][0-9]{0,17}")
_OPTIONS = re.compile(r"(?:/points=(?P<points>.+?))?(?:/seed=(?P<seed>[^/]+))?(?:/program=(?P<program>.+))?", re.DOTALL)
_SEED = re.compile(r"-?[0-9]{1,18}")


class TrialIdError(ValueError):
    """The word does not name a trial."""


def parse_trial(text: str) -> Trial:
    """The trial of an id: SCENARIO/KIND/N[+N2][/points=GLOB][/seed=N][/program=PLAN], the program last.

    Raises: TrialIdError: which part is wrong, and what belongs there.

    >>> parse_trial("zone.alloc/pair/3+2/seed=7").n2
    2
    """
    scenario, _, rest = text.partition("/")
    kind, _, rest = rest.partition("/")
    number, slash, rest = rest.partition("/")
    if not scenario or kind not in _KINDS:
        raise TrialIdError(
            f"{text!r} names no trial: it begins SCENARIO/KIND/N, such as zone.alloc/transient/3, and KIND is one of "
            f"{', '.join(_KINDS)}"
        )
    n, plus, n2 = number.partition("+")
    if not _N.fullmatch(n) or (plus and not _N.fullmatch(n2)):
        raise TrialIdError(f"{text!r} names no trial: {number!r} is where N or N+N2 stands, numbers from 1")
    if bool(plus) != kind.endswith("pair"):
        raise TrialIdError(f"{text!r} names no trial: N+N2 is for pair and kill-pair, and they need it")
    options = _OPTIONS.fullmatch(slash + rest)
    if options is None:
        raise TrialIdError(f"{text!r} names no trial: after N come points=GLOB, seed=N, program=PLAN, not {rest!r}")
    seed = options["seed"] or "0"
    if not _SEED.fullmatch(seed):
        raise TrialIdError(f"{text!r} names no trial: seed={seed!r} is no number")
    return Trial(
        scenario=scenario,
        kind=cast(Kind, kind),
        n=int(n),
        n2=int(n2 or 0),
        points=options["points"] or "*",
        seed=int(seed),
        program=options["program"],
    )


def replay_command(trial: Trial) -> str:
    """The command that runs a trial again, quoted for a shell."""
    return f"faultinj replay {shlex.quote(trial.id)}"
