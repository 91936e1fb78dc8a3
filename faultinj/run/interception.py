"""Attributes of modules and classes that were replaced in this process, so that they can be put back as they were.

Owns the list of what was replaced. Must not know why.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

__all__ = ["Interception", "Standing"]


class Standing:
    """A function in the place of a genuine one of C: like that it does not bind when it is a class's attribute, is
    pickled by name, and is called the same."""

    def __init__(self, genuine: Callable[..., Any], called: Callable[..., Any], module: str) -> None:
        functools.update_wrapper(self, genuine)
        self.__module__ = module
        self._called = called

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._called(*args, **kwargs)

    def __repr__(self) -> str:
        return repr(self.__dict__["__wrapped__"])

    def __reduce__(self) -> str:
        return str(self.__dict__["__name__"])


class Interception:
    """What was replaced, in order. restore() puts back the very objects that were there; what somebody else has put in
    the place since stays."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, str, Any, Any, bool]] = []
        self._last: list[Callable[[], object]] = []

    def replace(self, owner: Any, name: str, new: Any) -> None:
        """Put something into the place of an attribute that is there."""
        own = name in vars(owner)  # of a class it may be a base's
        self._undo.append((owner, name, getattr(owner, name), new, own))
        setattr(owner, name, new)

    def also_able(self, genuine: object, new: object) -> None:
        """What shutil and others ask before they rely on a parameter says of the new what it says of the genuine."""
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if genuine in able:
                able.add(new)  # type: ignore[arg-type]
                self.at_end(functools.partial(able.discard, new))

    def at_end(self, does: Callable[[], object]) -> None:
        """Do this when everything is put back, the last first."""
        self._last.append(does)

    def restore(self) -> None:
        """Put everything back. May be called again."""
        while self._undo:
            owner, name, genuine, new, own = self._undo.pop()
            if vars(owner).get(name) is not new:
                continue
            if own:
                setattr(owner, name, genuine)
            else:
                delattr(owner, name)
        while self._last:
            self._last.pop()()
