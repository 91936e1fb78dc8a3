"""What every error of this package has: a cause, facts as fields, a sentence with the next step.

Owns the base class and the errors about arguments. Every field has a default, so that every exception can be pickled.
"""

from dataclasses import dataclass

__all__ = [
    "InvalidArgument",
    "NameTooLong",
    "ShmallocError",
]


@dataclass(eq=False, repr=False, kw_only=True)
class ShmallocError(Exception):
    """Base of every error of this package. ``code`` is the core's own name for the cause, "" if Python found it.

    forced: what made the call fail though it need not have: "debug.malloc.failure_rate", or the name of a fault point;
    empty: nothing did.
    """

    arena: str = ""
    code: str = ""
    detail: str = ""
    forced: str = ""

    def __str__(self) -> str:
        return self.detail or f"{self.code or type(self).__name__} in arena {self.arena!r}"


@dataclass(eq=False, repr=False, kw_only=True)
class InvalidArgument(ShmallocError, ValueError):
    """An argument is out of its range; nothing in shared memory was touched."""

    argument: str = ""
    value: object = None
    allowed: str = ""

    def __str__(self) -> str:
        text = f"{self.argument}={self.value!r} is not allowed" if self.argument else "an argument is out of its range"
        if self.allowed:
            text += f": {self.allowed}"
        return f"{text}; {self.detail}" if self.detail else text


@dataclass(eq=False, repr=False, kw_only=True)
class NameTooLong(InvalidArgument):
    """A name does not fit the format."""

    most: int = 31

    def __str__(self) -> str:
        what = self.argument or "name"
        return f"the {what} {self.value!r} is longer than {self.most} bytes of UTF-8; choose a shorter one"
