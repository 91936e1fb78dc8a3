"""How an allocation site is worded: the frames that lead to an allocation, innermost first.

Owns the wording alone; the extension module walks the frames, and asks here only for a site it has not met before.
"""

from collections.abc import Sequence
from pathlib import PurePath
from types import CodeType, FrameType

__all__ = ["own_code", "site_text"]

_HERE = str(PurePath(__file__).parent) + "/"
_WHOLE = 1 << 16
_KEEP = ((_WHOLE, _WHOLE), (_WHOLE, 3), (_WHOLE, 1), (3, 1), (1, 1))
"""How many last parts of a path are kept, of the innermost frame and of the others, until all of it fits."""


def own_code(code: CodeType) -> bool:
    """Whether a function is of this package: the allocation is then its caller's."""
    return code.co_filename.startswith(_HERE)


def site_text(frames: Sequence[FrameType], most: int) -> str:
    """The frames as `path:line function`, innermost first, joined by " < ", in at most `most` bytes of UTF-8.

    Where they do not fit, the outer paths lose their first parts, then the innermost one, then the outermost frames go.
    """
    for first, others in _KEEP:
        text = " < ".join(_frame(frame, others if place else first) for place, frame in enumerate(frames))
        if len(text.encode("utf-8", "replace")) <= most:
            return text
    if len(frames) > 1:
        return site_text(frames[:-1], most)
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def _frame(frame: FrameType, parts: int) -> str:
    path = PurePath(frame.f_code.co_filename)
    shown = str(path) if parts >= len(path.parts) else "/".join(path.parts[-parts:])
    return f"{shown}:{frame.f_lineno} {frame.f_code.co_qualname}"
