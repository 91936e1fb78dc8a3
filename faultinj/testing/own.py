"""Which calls and allocations are the test's own: pytest's reach no point of Python, whatever they do meanwhile.

Owns the rule: the process of the test; no thread that ran before; and of a thread's frames the innermost that is not
the standard library's is not pytest's.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from types import FrameType

import _pytest
import pluggy
import pytest

import faultinj

__all__ = ["LIBRARY", "NOT_LIBRARY", "RUNNER", "OwnCalls"]


def _folder(module: object) -> str:
    return os.path.dirname(os.path.abspath(str(getattr(module, "__file__", "")))) + os.sep


RUNNER = (_folder(_pytest), _folder(pytest), _folder(pluggy), _folder(faultinj))
"""Where the files of pytest are, and of this package: a test that calls them gets what they do, and no fault."""
_STANDARD = tuple(dict.fromkeys(f"{sysconfig.get_path(kind)}{os.sep}" for kind in ("stdlib", "platstdlib")))
LIBRARY = (*_STANDARD, "<frozen ")
"""Where the standard library is: what it does is done for its caller."""
NOT_LIBRARY = (
    *dict.fromkeys(f"{sysconfig.get_path(kind)}{os.sep}" for kind in ("purelib", "platlib")),
    *(f"{path}{name}{os.sep}" for path in _STANDARD for name in ("site-packages", "dist-packages")),
)
"""Folders of the library's that are not the library."""
_PASSED_ON = ("raises", "warns", "deprecated_call")  # pytest.raises(OSError, os.open, path, 0): the call is the test's


class OwnCalls:
    """Whether a call is the test's own. Made where its calls begin."""

    def __init__(self) -> None:
        here = threading.get_ident()
        self._pid = os.getpid()
        self._others = frozenset(ident for ident in sys._current_frames() if ident != here)

    def __call__(self) -> bool:
        if os.getpid() != self._pid or threading.get_ident() in self._others:
            return False
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _of_package(frame):
            frame = frame.f_back
        while frame is not None:
            code = frame.f_code
            file = code.co_filename
            if file.startswith(RUNNER):
                if code.co_name not in _PASSED_ON:
                    return False
            elif not file.startswith(LIBRARY) or file.startswith(NOT_LIBRARY):
                return True
            frame = frame.f_back
        return True


def _of_package(frame: FrameType) -> bool:
    """The replaced functions, on top of the call."""
    return frame.f_code.co_filename.startswith(RUNNER[-1])
