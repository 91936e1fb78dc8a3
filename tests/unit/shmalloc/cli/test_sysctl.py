"""Reading and setting tunables."""

import json

import pytest

from shmalloc import Arena
from unit.shmalloc.cli.conftest import Run


def test_every_tunable_is_shown_without_names(run: Run, arena: Arena) -> None:
    seen = run("sysctl", arena.name)
    shown = dict(line.split(": ") for line in seen.out.splitlines())
    assert shown == {name: str(arena.sysctl[name]) for name in arena.sysctl}
    assert run("sysctl", arena.name, "-a").out == seen.out


def test_one_name_shows_one_and_a_subtree_shows_all_below_it(run: Run, arena: Arena) -> None:
    assert run("sysctl", arena.name, "vm.uma.warn_s").out == f"vm.uma.warn_s: {arena.sysctl['vm.uma.warn_s']}\n"
    below = [line.split(":")[0] for line in run("sysctl", arena.name, "vm.uma").out.splitlines()]
    assert below == [name for name in arena.sysctl if name.startswith("vm.uma.")]
    assert len(below) > 1


def test_setting_says_what_it_was_and_takes_effect_at_once(run: Run, arena: Arena) -> None:
    was = arena.sysctl["vm.uma.warn_s"]
    seen = run("sysctl", arena.name, "vm.uma.warn_s=7")
    assert (seen.status, seen.out) == (0, f"vm.uma.warn_s: {was} -> 7\n")
    assert arena.sysctl["vm.uma.warn_s"] == 7


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ("vm.uma.warn_s=-1", "may be 0 to 86400, not -1"),
        ("vm.uma.warn_s=soon", "'soon' is no whole number"),
        ("vm.no.such=1", "there is no tunable 'vm.no.such'"),
        ("vm.uma=1", "is not one tunable but"),
        ("vm.um", "there is no tunable 'vm.um'"),
    ],
)
def test_one_bad_request_means_nothing_is_set(run: Run, arena: Arena, bad: str, complaint: str) -> None:
    before = {name: arena.sysctl[name] for name in arena.sysctl}
    seen = run("sysctl", arena.name, "vm.uma.wss_ms=50", bad)
    assert (seen.status, seen.out) == (2, "")
    assert complaint in seen.err
    assert {name: arena.sysctl[name] for name in arena.sysctl} == before


def test_descriptions_carry_range_default_and_meaning(run: Run, arena: Arena) -> None:
    out = run("sysctl", arena.name, "-d", "vm.uma.warn_s").out
    heads, row = out.splitlines()
    tunable = arena.sysctl.describe("vm.uma.warn_s")
    assert heads.split() == ["NAME", "VALUE", "DEFAULT", "LEAST", "MOST", "MEANING"]
    assert row.split(maxsplit=5) == [
        tunable.name, str(tunable.value), str(tunable.default), str(tunable.least), str(tunable.most), tunable.text,
    ]  # fmt: skip


def test_json_is_a_list_of_records(run: Run, arena: Arena) -> None:
    [tunable] = json.loads(run("sysctl", arena.name, "--json", "vm.uma.warn_s=9").out)
    assert (tunable["name"], tunable["value"], tunable["least"]) == ("vm.uma.warn_s", 9, 0)


def test_reading_claims_no_cpu_slot(run: Run, arena: Arena) -> None:
    before = arena.statistics().attaches
    run("sysctl", arena.name)
    assert arena.statistics().attaches == before
