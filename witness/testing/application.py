"""What a marker asks for, in force while its test runs. Owns the switches: other tests find them as they were."""

from __future__ import annotations

import os
from itertools import pairwise

from witness._witness import CoreError, Watch
from witness.run.enter import ARENA
from witness.testing.marker import Wishes
from witness.testing.settings import Settings
from witness.testing.sharing import Sharing

__all__ = ["Application"]


class _Gate:
    """Stands between the calls that block and the graph: open while a test asks for it."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.open = False

    def may_sleep(self, what: str) -> int:
        """As Watch.may_sleep, when open."""
        return self.watch.may_sleep(what) if self.open else 0


class Application:
    """The wishes of the test that runs now."""

    def __init__(self, sharing: Sharing, settings: Settings) -> None:
        self.wishes = Wishes()
        self._watch = sharing.watch
        self._settings = settings
        self._gate: _Gate | None = None
        self._arena = sharing.arena.name

    def begin(self) -> None:
        """A test begins; nothing is asked for yet."""
        self.wishes = Wishes()

    def wish(self, wishes: Wishes) -> None:
        """From now on these are in force."""
        self.wishes = wishes
        if wishes.off:
            self._watch.paused = True
            os.environ.pop(ARENA, None)  # children that the test starts are not watched either
        if wishes.blocking and not self._settings.blocking:
            self._blocking().open = True

    def end(self) -> None:
        """The test is over: as before."""
        if self.wishes.off:
            self._watch.paused = False
            os.environ[ARENA] = self._arena
        if self._gate is not None:
            self._gate.open = False
        self.wishes = Wishes()

    def _blocking(self) -> _Gate:
        if self._gate is None:
            from witness.blocking import parse_allowed, watch_blocking

            self._gate = _Gate(self._watch)
            watch_blocking(self._gate, parse_allowed("\n".join(self._settings.allow)))
        return self._gate

    def declare(self) -> None:
        """Have the orders known that the test asks for; the run keeps them.

        Raises: ValueError: a name is no lock's, or the contrary order is known already.
        """
        for order in self.wishes.orders:
            numbers = [self._class_named(name) for name in order]
            for (first, a), (second, b) in pairwise(zip(numbers, order, strict=True)):
                try:
                    self._watch.declare(first, second)
                except CoreError as error:
                    raise ValueError(
                        f'the marker witness declares "{a}" before "{b}", and the contrary order is known already '
                        f"({error.code}): repair the marker, or see who takes them so with `witness report`"
                    ) from error

    def _class_named(self, name: str) -> int:
        """The class of this name, or the only one whose name ends so after a slash."""
        names: list[str] = []
        while True:
            try:
                names.append(str(self._watch.lock_class(len(names))[0]))
            except IndexError:
                break
        if name in names:
            return names.index(name)
        ends = [number for number, known in enumerate(names) if known.endswith(f"/{name}")]
        if len(ends) == 1:
            return ends[0]
        raise ValueError(
            f'the marker witness orders "{name}", which {"several locks are" if ends else "no lock is"} called when '
            'the test begins; locks are called "directory/file.py:line" after where they are made, " RLock" and '
            '" Semaphore" behind it for those, and have to be made by then, on import or in a fixture'
        )
