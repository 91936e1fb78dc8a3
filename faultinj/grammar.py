"""The grammar of faults: text into a Plan. The canonical text of what was read is ``str(plan)``, and reads as the same.

    plan     := setting (';' setting)*            setting := POINTS '=' program
    program  := term ('->' term)*                 term    := modifier* action ['(' argument ')'] filter*
    modifier := FLOAT '%' | INT '*' | ('nth' | 'every' | 'times' | 'space' | 'interval') '(' INT ')' ':'
    filter   := '[' ('pid' INT | 'cpu' INT | 'step' INT | 'zone' NAME | 'size' '>=' INT | 'flags' M_NAME ('|' M_NAME)*
                     | ['!'] 'stack' FILE:FUNCTION) ']'

Owns the reading, by recursive descent. Must not know which points there are. Source: FreeBSD fail(9), kern_fail.c.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from typing import NoReturn

from faultinj.program import ACTIONS, FILTERS, MOST_TERMS, TRIGGERS, Filter, Modifier, Plan, Program, Setting, Term

__all__ = ["GrammarError", "parse_plan", "parse_program"]

_POINTS = re.compile(r"[A-Za-z_*?][\w.*?/:+]*(?:-(?!>)[\w.*?/:+]*)*")
_WORD = re.compile(r"[A-Za-z_]\w*")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_WHOLE = re.compile(r"[0-9]+")
_CODE = re.compile(r"-?[0-9]+|[A-Za-z_]\w*")
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_PLAIN = re.compile(r"[\w.*?:/@+-]+")
_FLAGS = re.compile(r"[A-Z_]\w*(?:\|[A-Z_]\w*)*")
_MOST = (1 << 40) - 1
_MOST_CODE = (1 << 31) - 1
_MOST_DIGITS = 20  # more make no number that is in any range
_MOST_NAME = 63
_UNFIT = re.compile("[\0\ud800-\udfff]")
_SHOWN = 160
_SHOWN_WORD = 40


class GrammarError(ValueError):
    """A text that is no plan. ``text``: all of it; ``column``: where, from 1; ``reason``: what was expected, and
    found."""

    def __init__(self, text: str, column: int, reason: str) -> None:
        self.text = text
        self.column = column
        self.reason = reason
        shown, before = _excerpt(text, column - 1)
        super().__init__(
            f"column {column}: {reason}\n  {shown}\n  {' ' * before}^\nThe grammar: `faultinj points --grammar`"
        )


def _excerpt(text: str, at: int) -> tuple[str, int]:
    """(the text around a place, in one printable line; how many terminal cells of it are before the place)."""
    first = max(0, min(at - _SHOWN // 2, len(text) - _SHOWN))
    signs = [sign if sign.isprintable() else " " for sign in text[first : first + _SHOWN]]
    before = "..." if first else ""
    after = "..." if first + _SHOWN < len(text) else ""
    return before + "".join(signs) + after, len(before) + sum(map(_cells, signs[: at - first]))


def _cells(sign: str) -> int:
    """How many cells a terminal gives a character."""
    return 0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def parse_plan(text: str) -> Plan:
    """Read ``POINT=PROGRAM; POINT=PROGRAM ...``; an empty text is a plan without settings.

    Raises: GrammarError.
    """
    reader = _Reader(text)
    settings: list[Setting] = []
    while not reader.at_end():
        settings.append(reader.setting(inside=False))
        if not reader.take(";") and not reader.at_end():
            reader.fail("expected '->' and a term, ';' and a setting, or the end")
    return Plan(tuple(settings))


def parse_program(text: str) -> Program:
    """Read one point's program, such as ``5%return(SM_NO_MEMORY)->3*print``.

    Raises: GrammarError.
    """
    reader = _Reader(text)
    program = reader.program(inside=False)
    if not reader.at_end():
        reader.fail("expected '->' and a term, or the end")
    return program


class _Reader:
    """A text and the place up to which it was read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        if unfit := _UNFIT.search(text):
            self.fail("expected text that UTF-8 and C can hold", unfit.start())

    # ---- characters

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def at_end(self) -> bool:
        self.skip()
        return self.at == len(self.text)

    def take(self, sign: str) -> bool:
        self.skip()
        found = self.text.startswith(sign, self.at)
        self.at += len(sign) if found else 0
        return found

    def need(self, sign: str, why: str) -> None:
        if not self.take(sign):
            self.fail(f"expected {sign!r} {why}")

    def match(self, pattern: re.Pattern[str]) -> str | None:
        self.skip()
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def fail(self, expected: str, at: int | None = None) -> NoReturn:
        if at is None:
            self.skip()
            at = self.at
        found = re.match(r"[\w.]+|.", self.text[at:])
        what = f"found {found[0][:_SHOWN_WORD]!r}" if found else "the text ends here"
        raise GrammarError(self.text, at + 1, f"{expected}; {what}")

    def fail_choice(self, word: str, what: str, choices: Iterable[str], at: int) -> NoReturn:
        near = difflib.get_close_matches(word, list(choices), 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        self.fail(f"expected {what}{hint}: one of {', '.join(choices)}", at)

    def number(self, what: str, least: int, most: int = _MOST) -> int:
        self.skip()
        at = self.at
        raw = self.match(_WHOLE)
        if raw is None or len(raw) > _MOST_DIGITS or not least <= int(raw) <= most:
            self.fail(f"expected {what}, a whole number from {least} to {most}", at)
        return int(raw)

    def quoted(self) -> str | None:
        self.skip()
        begin = self.at
        if not self.take('"'):
            return None
        out: list[str] = []
        while self.at < len(self.text):
            sign = self.text[self.at]
            self.at += 1
            if sign == '"':
                return "".join(out)
            if sign == "\\" and self.at < len(self.text):
                sign = self.text[self.at]
                self.at += 1
                if sign not in 'n"\\':
                    self.fail('expected \\n, \\" or \\\\ after a backslash', self.at - 1)
                sign = "\n" if sign == "n" else sign
            out.append(sign)
        raise GrammarError(self.text, begin + 1, "this quoted text has no end: expected '\"'")

    # ---- the grammar

    def setting(self, inside: bool) -> Setting:
        self.skip()
        begin = self.at
        points = self.match(_POINTS)
        if points is None:
            self.fail("expected the name of a point, or a glob such as queue.*")
        if len(points.encode()) > _MOST_NAME:
            self.fail(f"expected the name of a point, or a glob, of at most {_MOST_NAME} bytes", begin)
        self.need("=", "after the name of the point")
        return Setting(points, self.program(inside))

    def program(self, inside: bool) -> Program:
        terms = [self.term(inside)]
        while self.take("->"):
            self.skip()
            at = self.at
            if len(terms) == MOST_TERMS:
                self.fail(f"expected no more terms: a program has at most {MOST_TERMS}", at)
            terms.append(self.term(inside))
        return Program(tuple(terms))

    def term(self, inside: bool) -> Term:
        modifiers: list[Modifier] = []
        self.skip()
        at = self.at
        while (modifier := self.modifier()) is not None:
            kinds = {"count" if m.kind == "times" else m.kind for m in (*modifiers, modifier)}
            if len(kinds) == len(modifiers):
                self.fail(f"expected one {modifier.kind} only; times(N): is the same as N*", at)
            modifiers.append(modifier)
            self.skip()
            at = self.at
        action = self.match(_WORD)
        if action is None:
            self.fail(f"expected an action: one of {', '.join(ACTIONS)}")
        if action not in ACTIONS:
            self.fail_choice(action, "an action, or a trigger with its ':'", (*ACTIONS, *TRIGGERS), at)
        argument = self.argument(action, inside)
        return Term(action, tuple(modifiers), argument, self.filters())

    def modifier(self) -> Modifier | None:
        self.skip()
        begin = self.at
        raw = self.match(_NUMBER)
        if raw is not None:
            if self.take("%"):
                whole, _, rest = raw.partition(".")
                whole, rest = whole.lstrip("0") or "0", rest.rstrip("0").ljust(4, "0")
                if len(whole) > 3 or len(rest) > 4 or int(whole + rest) > 1_000_000:
                    self.fail("expected a percentage from 0 to 100, with at most 4 digits after the point", begin)
                return Modifier("percent", int(whole + rest))
            if not self.take("*"):
                self.fail("expected '%' or '*' after this number", begin)
            if "." in raw or len(raw) > _MOST_DIGITS or not 1 <= int(raw) <= _MOST:
                self.fail(f"expected a count from 1 to {_MOST}, a whole number", begin)
            return Modifier("count", int(raw))
        word = self.match(_WORD)
        if word not in TRIGGERS:
            self.at = begin
            return None
        self.need("(", f"and a number after {word}")
        value = self.number(
            "the number of bytes" if word == "space" else f"the N of {word}", 0 if word == "space" else 1
        )
        self.need(")", f"after the number of {word}")
        self.need(":", f"and an action after {word}({value})")
        return Modifier(word, value)

    def argument(self, action: str, inside: bool) -> str | int | Setting | None:
        wants = ACTIONS[action]
        self.skip()
        begin = self.at
        if not self.take("("):
            if wants and not wants.endswith("?"):
                self.fail(f"expected '(' and an argument: {_example(action)}")
            return None
        if not wants:
            self.fail(f"expected no argument: {action} takes none", begin)
        value: str | int | Setting
        if wants == "setting":
            if inside:
                self.fail("expected no cascade inside of a cascade: give that program to its own point", begin)
            value = self.setting(inside=True)
        elif wants == "number":
            value = self.number("milliseconds" if action == "sleep" else "microseconds", 0)
        else:
            value = self.text_argument(action, wants)
        self.need(")", f"after the argument of {action}")
        return value

    def text_argument(self, action: str, wants: str) -> str:
        self.skip()
        at = self.at
        if wants.startswith("text"):
            text = self.quoted()
            text = self.match(_PLAIN) if text is None else text
        else:
            text = self.match(_CODE if wants.startswith("code") else _NAME)
        if text is None:
            self.fail(f"expected an argument: {_example(action)}", at)
        if action == "return" and text.lstrip("-").isdecimal():
            if len(text) > _MOST_DIGITS or abs(int(text)) > _MOST_CODE:
                self.fail(f"expected a code from -{_MOST_CODE} to {_MOST_CODE}", at)
            return str(int(text))
        return text

    def filters(self) -> tuple[Filter, ...]:
        out: list[Filter] = []
        while self.take("["):
            self.skip()
            at = self.at
            kind = ("!" if self.take("!") else "") + (self.match(_WORD) or "")
            if kind not in FILTERS:
                self.fail_choice(kind, "a filter", FILTERS, at)
            if kind in {f.kind for f in out}:
                self.fail(f"expected one {kind} only", at)
            out.append(Filter(kind, self.filter_value(kind)))
            self.need("]", f"after the filter {kind}")
        return tuple(out)

    def filter_value(self, kind: str) -> str | int:
        if kind in ("pid", "cpu", "step"):
            return self.number(f"the number of a {kind}", 0, (1 << 32) - 1)
        if kind == "size":
            self.need(">=", "and a number of bytes after size")
            return self.number("a number of bytes", 0)
        if kind == "flags":
            found = self.match(_FLAGS)
        else:
            found = self.quoted()
            found = self.match(_PLAIN) if found is None else found
        if found is None:
            example = {"flags": "[flags M_NOWAIT]", "zone": "[zone frame*]"}.get(kind, f"[{kind} app.py:connect]")
            self.fail(f"expected a value, as in {example}")
        return found


def _example(action: str) -> str:
    """How the action is written with its argument."""
    return {
        "return": "return(ENOSPC), return(SM_NO_MEMORY) or return(5)",
        "raise": "raise(ConnectionError)",
        "panic": 'panic("text")',
        "print": 'print("text")',
        "sleep": "sleep(10), in milliseconds",
        "delay": "delay(500), in microseconds",
        "callback": 'callback("module:function")',
        "arm": "arm(zone.ctor=nth(2):return)",
    }[action]
