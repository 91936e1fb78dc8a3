"""From a trial that finds something to the smallest one that finds the same kind of thing.

Owns the order in which things are left out: terms of a program, the second fault, persistence, the seed, points, then
n. Each candidate is smaller than the trial at hand, so it ends; nothing is random, so it ends at the same trial every
time. Must not know where trials run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from faultinj.record import Kind, Outcome, Trial
from faultinj.trial_id import replay_command

__all__ = ["DoesNotFail", "Shrunk", "Step", "shrink"]

Candidates = Iterator[tuple[str, Trial]]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A smaller trial that was tried. `change`: what was left out; `shows`: whether the finding was still there."""

    change: str
    trial: str
    shows: bool


class Shrunk(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest trial found. `steps`: all that were run, in order; `fixpoint`: nothing smaller that is known to try
    shows it; false when the trials allowed were used up before."""

    finding: str
    trial: Trial
    outcome: Outcome
    steps: tuple[Step, ...]
    fixpoint: bool


class DoesNotFail(ValueError):
    """The trial does not show the finding, so there is nothing to shrink. Fields: trial, finding, seen."""

    def __init__(self, trial: Trial, finding: str, outcome: Outcome) -> None:
        seen = ", ".join(sorted({one.kind for one in outcome.findings})) or outcome.verdict
        super().__init__(
            f"{trial.id} does not show {finding or 'any finding'!r}: it came to {seen}; "
            f"see it with: {replay_command(trial)}"
        )
        self.trial = trial
        self.finding = finding
        self.seen = seen


def shrink(
    trial: Trial,
    run: Callable[[Trial], Outcome],
    *,
    finding: str = "",
    most: int = 1000,
    told: Callable[[Step], None] | None = None,
) -> Shrunk:
    """Leave things out of a trial until nothing can be left out.

    Parameters: run: runs a trial; finding: the kind to keep, the trial's first one when empty; most: trials to run;
    told: called after each.
    Raises: DoesNotFail: the trial itself shows no such finding.
    """
    outcome = run(trial)
    kept = finding or next((one.kind for one in outcome.findings), "")
    if not any(one.kind == kept for one in outcome.findings):
        raise DoesNotFail(trial, finding, outcome)
    return _Search(run, kept, most, told).down_from(outcome)


class _Search:
    def __init__(
        self, run: Callable[[Trial], Outcome], kept: str, most: int, told: Callable[[Step], None] | None
    ) -> None:
        self.run = run
        self.kept = kept
        self.most = most
        self.told = told
        self.steps: list[Step] = []
        self.known: dict[str, Outcome] = {}

    def down_from(self, outcome: Outcome) -> Shrunk:
        smaller: Outcome | None = outcome
        while smaller is not None:
            outcome, smaller = smaller, self._smaller(smaller)
        return Shrunk(
            finding=self.kept,
            trial=outcome.trial,
            outcome=outcome,
            steps=tuple(self.steps),
            fixpoint=len(self.steps) < self.most,
        )

    def _smaller(self, outcome: Outcome) -> Outcome | None:
        """The first candidate that shows the finding, None at the fixpoint."""
        for reduce in (_fewer_terms, _one_fault, _seed_zero, _one_point, _smaller_n):
            for change, candidate in reduce(outcome):
                tried = self._try(change, candidate)
                if tried is not None:
                    return tried
        return None

    def _try(self, change: str, trial: Trial) -> Outcome | None:
        if trial.id in self.known or len(self.steps) >= self.most:
            return None  # what is known did not show it, or it would have been taken
        outcome = self.known[trial.id] = self.run(trial)
        shows = any(one.kind == self.kept for one in outcome.findings)
        step = Step(change=change, trial=trial.id, shows=shows)
        self.steps.append(step)
        if self.told is not None:
            self.told(step)
        return outcome if shows else None


def _fewer_terms(outcome: Outcome) -> Candidates:
    """Delta debugging: leave out halves of the program's terms, then quarters, down to single ones."""
    trial = outcome.trial
    terms = _terms(trial.program) if trial.program else []
    size = len(terms) // 2
    while size:
        for start in range(0, len(terms), size):
            left = terms[:start] + terms[start + size :]
            if left:
                gone = ", ".join("->".join(term) for term in terms[start : start + size])
                yield f"without {gone}", msgspec.structs.replace(trial, program=_program(left))
        size //= 2


def _terms(program: str) -> list[tuple[str, str]]:
    """The terms of a program `point=term->term; point=term`, each with its point."""
    found = []
    for part in _split(program, ";"):
        point, _, chain = part.partition("=")
        found += [(point.strip(), term.strip()) for term in _split(chain, "->")]
    return found


def _program(terms: list[tuple[str, str]]) -> str:
    chains: dict[str, list[str]] = {}
    for point, term in terms:
        chains.setdefault(point, []).append(term)
    return ";".join(f"{point}={'->'.join(chain)}" for point, chain in chains.items())


def _split(text: str, mark: str) -> list[str]:
    """Split at a mark that stands outside of brackets and quotes; empty parts are dropped."""
    parts, depth, quote, start, at = [], 0, "", 0, 0
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif depth == 0 and text.startswith(mark, at):
            parts.append(text[start:at])
            at += len(mark) - 1
            start = at + 1
        at += 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()]


def _one_fault(outcome: Outcome) -> Candidates:
    """One fault instead of two, once instead of from then on."""
    trial = outcome.trial
    simpler: tuple[tuple[str, Kind, int], ...] = {
        "pair": (
            ("the first fault alone", "transient", trial.n),
            ("the second alone", "transient", trial.n + trial.n2),
        ),
        "kill-pair": (("the first kill alone", "kill", trial.n),),
        "persistent": (("once, not from then on", "transient", trial.n),),
    }.get(trial.kind, ())  # type: ignore[assignment]
    if trial.program is None:
        for change, kind, n in simpler:
            yield change, msgspec.structs.replace(trial, kind=kind, n=n, n2=0)


def _seed_zero(outcome: Outcome) -> Candidates:
    if outcome.trial.seed:
        yield "seed 0", msgspec.structs.replace(outcome.trial, seed=0)


def _one_point(outcome: Outcome) -> Candidates:
    """The one point that was injected instead of a glob; it is reached less often, so n is looked for from 1."""
    trial = outcome.trial
    points = {one.point for one in outcome.injected}
    if trial.program is not None or trial.kind in ("kill", "kill-pair") or len(points) != 1 or trial.points in points:
        return
    (point,) = points
    for n in range(1, min(trial.n, outcome.reached.get(point, trial.n)) + 1):
        yield f"only {point}, n = {n}", msgspec.structs.replace(trial, points=point, n=n)


def _smaller_n(outcome: Outcome) -> Candidates:
    trial = outcome.trial
    if trial.program is None:
        for n in range(1, trial.n):
            yield f"n = {n}", msgspec.structs.replace(trial, n=n)
        for n2 in range(1, trial.n2):
            yield f"n2 = {n2}", msgspec.structs.replace(trial, n2=n2)
