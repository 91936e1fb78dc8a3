"""From the word that names a trial back to the trial. Owns the grammar's reading side; Trial.id is the writing side."""

from typing import cast

from faultinj.record import Kind, Trial
from faultinj.sweep.registry import KINDS

__all__ = ["TrialIdError", "parse_trial"]


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
    number, _, rest = rest.partition("/")
    if not scenario or kind not in KINDS:
        raise TrialIdError(
            f"{text!r} names no trial: it begins SCENARIO/KIND/N, such as zone.alloc/transient/3, and KIND is one of "
            f"{', '.join(KINDS)}"
        )
    n, plus, n2 = number.partition("+")
    if not n.isdigit() or (plus and not n2.isdigit()):
        raise TrialIdError(f"{text!r} names no trial: {number!r} is where N or N+N2 stands, numbers from 1")
    options: dict[str, str] = {}
    while rest:
        name, equals, value = rest.partition("=")
        if name not in ("points", "seed", "program") or not equals:
            raise TrialIdError(f"{text!r} names no trial: after N come points=GLOB, seed=N, program=PLAN, not {rest!r}")
        options[name], _, rest = (value, "", "") if name == "program" else value.partition("/")
    seed = options.get("seed", "0")
    if not seed.lstrip("-").isdigit():
        raise TrialIdError(f"{text!r} names no trial: seed={seed!r} is no number")
    return Trial(
        scenario=scenario,
        kind=cast(Kind, kind),
        n=int(n),
        n2=int(n2 or 0),
        points=options.get("points", "*"),
        seed=int(seed),
        program=options.get("program"),
    )
