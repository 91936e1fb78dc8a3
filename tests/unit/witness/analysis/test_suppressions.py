"""Suppressions match what they say, end when they say, and a wrong file is told with its line."""

import datetime
from pathlib import Path

import pytest

from lockgraphs import bank
from witness.analysis.findings import analyse
from witness.analysis.suppressions import Sifted, SuppressionsUnreadable, read_suppressions, sift

TODAY = datetime.date(2026, 6, 30)


def sifted(tmp_path: Path, text: str) -> Sifted:
    """The bank's findings after the rules of a file with this text."""
    path = tmp_path / "witness.toml"
    path.write_text(text)
    analysis = analyse(bank())
    return sift(analysis.findings, analysis.order, read_suppressions(path), today=TODAY)


@pytest.mark.parametrize(
    ("conditions", "rules"),
    [
        ('rule = "recursion"', ["recursion"]),
        ('rule = "lock-order-*"', ["lock-order-reversal", "lock-order-reversal"]),
        ('classes = ["acc*", "ledger"]', ["lock-order-reversal"]),
        ('classes = ["accounts"]\nrule = "sleep-*"', ["sleep-under-lock"]),
        ('function = "nap"', ["sleep-under-lock"]),
        ('file = "bank.py"\nfunction = "leave"', ["lock-misuse"]),
        ('file = "other.py"\nfunction = "leave"', []),
        ('function = "book_*"\nclasses = ["vault"]', []),
    ],
)
def test_every_condition_of_a_rule_must_hold(tmp_path: Path, conditions: str, rules: list[str]) -> None:
    found = sifted(tmp_path, f'[[suppress]]\nreason = "known"\n{conditions}\n')
    assert sorted(finding.rule for finding, _ in found.suppressed) == rules
    assert len(found.kept) + len(rules) == len(analyse(bank()).findings)
    assert bool(found.unused) == (not rules)


def test_a_rule_holds_through_its_last_day_and_then_suppresses_nothing(tmp_path: Path) -> None:
    rule = '[[suppress]]\nreason = "until the rewrite"\nrule = "recursion"\nexpires = {}\n'
    assert len(sifted(tmp_path, rule.format("2026-06-30")).suppressed) == 1
    late = sifted(tmp_path, rule.format("2026-06-29"))
    assert (late.suppressed, late.unused) == ((), ())
    assert [gone.line for gone in late.expired] == [1]


def test_what_matched_nothing_is_told(tmp_path: Path) -> None:
    text = '[[suppress]]\nreason = "a"\nrule = "recursion"\n\n[[suppress]]\nreason = "b"\nclasses = ["nobody"]\n'
    found = sifted(tmp_path, text)
    assert [(rule.line, rule.reason) for rule in found.unused] == [(5, "b")]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[[suppress]]\nrule = "recursion"\n', 1, "gives no reason"),
        ('[[suppress]]\nrule = "recursion"\nreason = " "\n', 3, "gives no reason"),
        ('# hello\n[[suppress]]\nreason = "x"\n', 3, "would suppress everything"),
        ('[[suppress]]\nreason = "x"\nclass = "y"\n', 3, "a rule has no 'class'"),
        ('[[suppress]]\nreason = "x"\nclasses = "y"\n', 3, "Expected `array`, got `str`"),
        ('[[suppress]]\nreason = "x"\nrule = "y"\nexpires = "soon"\n', 4, "expires: "),
        (
            '[[suppress]]\nreason = "x"\nrule = "y"\n\n[[suppress]]\nreason = "z"\nexpires = 3\nrule = "q"\n',
            7,
            "expires",
        ),
        ('[[suppress]]\nreason = "x\n', 2, "this is no TOML"),
        ('[suppress]\nreason = "x"\n', 1, "twice bracketed"),
        ('\n[[hide]]\nreason = "x"\n', 2, "'hide' is unknown"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(SuppressionsUnreadable) as refused:
        sifted(tmp_path, text)
    assert refused.value.line == line
    assert said in refused.value.reason
    assert str(refused.value).startswith(f"{tmp_path}/witness.toml:{line}: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SuppressionsUnreadable, match="No such file"):
        read_suppressions(tmp_path / "gone.toml")
