"""Which trial comes next: the stop rule. Owns the order of a cell's trials; runs none.

One fault: n = 1, 2, ... until a run injected nothing. Two faults: for each n the second one n2 = 1, 2, ... until it was
not injected any more, then the next n, until the first was not. That stop rule proves that every place was tried, with
no bound guessed.
"""

from collections.abc import Sequence

import msgspec

from faultinj.record import Outcome, Trial

__all__ = ["Course", "Task"]

_PAIRED = ("pair", "kill-pair")
_BROKEN_MOST = 3  # hangs and crashes of one cell, then it is given up


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a cell: trials first .. last of a scenario and a kind, or one trial, or a run that only counts.

    pairs: most pairs of faults, 0 for no bound. modules: where the scenarios are. oracles: None for all installed.
    """

    trial: Trial
    last: int = 0
    counting: bool = False
    single: bool = False
    pairs: int = 0
    modules: Sequence[str] = ()
    oracles: Sequence[str] | None = None


class Course:
    """The trials of a task one after the other; ``current`` is the one to run, None at the end.

    exhausted: a run injected nothing, so everything was tried.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._trial = task.trial
        if not task.single and not task.counting and task.trial.kind in _PAIRED and task.trial.n2 == 0:
            self._trial = msgspec.structs.replace(task.trial, n2=1)
        self._done = False
        self._pairs = 0
        self._broken = 0
        self.exhausted = False
        self.cut = False

    @property
    def current(self) -> Trial | None:
        """The next trial."""
        return None if self._done else self._trial

    def feed(self, outcome: Outcome) -> None:
        """Say what became of the current trial."""
        task, trial = self._task, self._trial
        self._broken += self._fell(outcome)
        if task.single or task.counting:
            self._done = True
        elif self._broken >= _BROKEN_MOST:
            self._done = self.cut = True
        elif trial.kind in _PAIRED:
            self._next_pair(outcome)
        elif not outcome.injected and not self._fell(outcome):
            self._done = self.exhausted = True  # also when it has a finding: that has no fault for its cause
        else:
            self._advance(n=trial.n + 1)

    @staticmethod
    def _fell(outcome: Outcome) -> bool:
        """Its process did not live to say what was injected."""
        return any(finding.kind in ("hang", "crash") for finding in outcome.findings)

    def _next_pair(self, outcome: Outcome) -> None:
        injected, trial = len(outcome.injected), self._trial
        self._pairs += injected > 1
        if injected == 0 and not self._fell(outcome):
            self._done = self.exhausted = True
        elif self._task.pairs and self._pairs >= self._task.pairs:
            self._done = self.cut = True
        elif injected > 1:
            self._advance(n2=trial.n2 + 1)
        else:
            self._advance(n=trial.n + 1, n2=1)

    def _advance(self, **changes: int) -> None:
        self._trial = msgspec.structs.replace(self._trial, **changes)
        if self._task.last and self._trial.n > self._task.last:
            self._done = True
