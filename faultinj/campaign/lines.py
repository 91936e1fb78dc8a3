"""Where each key of a TOML text stands: tomllib forgets the lines, and an error about a value has to name one.

Owns the walk over the text. Must not judge it: the text has been read by tomllib before, so it is well formed, and what
is looked for here is only where things begin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["Key", "key_lines", "line_of"]

Key = tuple[str | int, ...]
"""The way to a value from the top of the document: names of keys and places in arrays, such as ("sweep", 0,
"kinds")."""

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'',
    re.DOTALL,
)


def key_lines(text: str) -> dict[Key, int]:
    """Find the line of every table, key and element.

    Parameters: text: TOML that tomllib accepts.
    Returns: the line, from 1, on which each begins; the empty key, the document itself, is on line 1.
    """
    return _Walk(text).document()


def line_of(lines: Mapping[Key, int], key: Key) -> int:
    """The line of a key, or of the innermost thing around it that is written down."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


class _Walk:
    """One pass over a text. `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Key, int] = {(): 1}
        self.arrays: dict[Key, int] = {}  # tables of [[...]] met so far

    def document(self) -> dict[Key, int]:
        table: Key = ()
        self._skip(_SPACE)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE)
        return self.lines

    def _header(self) -> Key:
        line, twice = self._line(), self.text.startswith("[[", self.at)
        self.at += 2 if twice else 1
        names = self._names()
        self.at += 2 if twice else 1
        table = (*self._placed(names[:-1]), names[-1])
        if twice:
            count = self.arrays.get(table, 0)
            self.arrays[table] = count + 1
            self.lines.setdefault(table, line)
            table = (*table, count)
        else:
            table = self._placed(names)
        self.lines.setdefault(table, line)
        return table

    def _placed(self, names: tuple[str, ...]) -> Key:
        """The key of a table by its names: a name of an array of tables means its last table."""
        key: Key = ()
        for name in names:
            key = (*key, name)
            if key in self.arrays:
                key = (*key, self.arrays[key] - 1)
        return key

    def _pair(self, table: Key) -> None:
        line = self._line()
        key = table
        for name in self._names():
            key = (*key, name)
            self.lines.setdefault(key, line)
        self.at += 1  # the equals sign
        self._skip(_BLANK)
        self._value(key)

    def _value(self, key: Key) -> None:
        opening = self.text[self.at]
        if opening in "\"'":
            self._skip(_STRING)
        elif opening == "[":
            self._elements(key)
        elif opening == "{":
            self._inline(key)
        else:
            self._skip(_SCALAR)

    def _elements(self, key: Key) -> None:
        self.at += 1
        place = 0
        while not self._ends("]"):
            self.lines[(*key, place)] = self._line()
            self._value((*key, place))
            place += 1

    def _inline(self, key: Key) -> None:
        self.at += 1
        while not self._ends("}"):
            self._pair(key)

    def _ends(self, closing: str) -> bool:
        """Step over what stands between two members; true, and past it, at the closing bracket."""
        self._skip(_SPACE)
        if self.text[self.at] == ",":
            self.at += 1
            self._skip(_SPACE)
        if self.text[self.at] != closing:
            return False
        self.at += 1
        return True

    def _names(self) -> tuple[str, ...]:
        names = []
        while True:
            self._skip(_BLANK)
            if self.text[self.at] in "\"'":
                start = self.at
                self._skip(_STRING)
                names.append(_unquoted(self.text[start : self.at]))
            else:
                start = self.at
                self._skip(_BARE)
                names.append(self.text[start : self.at])
            self._skip(_BLANK)
            if self.text[self.at] != ".":
                return tuple(names)
            self.at += 1

    def _skip(self, what: re.Pattern[str]) -> None:
        found = what.match(self.text, self.at)
        if found is None:
            raise ValueError(f"line {self._line()}: this is no TOML that tomllib accepts")
        self.at = found.end()

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1


def _unquoted(name: str) -> str:
    if name.startswith("'"):
        return name[1:-1]
    escapes = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}

    def meant(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if code[0] in "uUx" else escapes[code]

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|x[0-9A-Fa-f]{2}|.)", meant, name[1:-1])
