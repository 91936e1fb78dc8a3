"""A marked test is run once for each fault it meets; it fails for what a fault breaks, and when no fault came."""

from __future__ import annotations

import sys

import pytest

pytest_plugins = ["pytester"]

HEAD = """
import secrets
import pytest, shmalloc, faultinj
from shmalloc import M_NOWAIT

save = faultinj.point("app.save", error=ValueError)

@pytest.fixture
def arena():
    with shmalloc.Arena.create("plugin-" + secrets.token_hex(6), max_size="16M") as made:
        try:
            yield made
            assert made.check().findings == ()
        finally:
            made.unlink()
"""


def run(pytester: pytest.Pytester, body: str, *words: str) -> pytest.RunResult:
    """A test session of its own over one file."""
    pytester.makepyfile(test_it=HEAD + body)
    base = ("-p", "no:cacheprovider", "--timeout", "60")
    return pytester.run(sys.executable, "-m", "pytest", *base, *words, "test_it.py", timeout=110)


def test_a_clean_test_is_run_until_nothing_is_left_to_fail_and_counted(pytester: pytest.Pytester) -> None:
    body = """
@pytest.mark.faults("zone.*", "slab.create", "page.*")
def test_alloc(arena):
    item = arena.zone("z", size=64).alloc(M_NOWAIT)
    item.free()

def test_after():
    from faultinj import process
    assert process.in_use() is None
"""
    ended = run(pytester, body)
    ended.assert_outcomes(passed=2)
    ended.stdout.re_match_lines([r"faults: 1 tests swept in \d\d+ runs, \d\d+ faults injected"])


def test_what_a_fault_breaks_fails_the_test_with_the_place_and_the_command(pytester: pytest.Pytester) -> None:
    body = """
@pytest.mark.faults("zone.ctor", kinds="transient")
def test_leaks(arena):
    zone = arena.zone("z", size=64)
    kept = zone.alloc(M_NOWAIT)
    try:
        zone.alloc(M_NOWAIT).free()
    except shmalloc.ShmallocError:
        pytest.fail("the first item was not given back")
    kept.free()
"""
    ended = run(pytester, body)
    ended.assert_outcomes(failed=1)
    out = ended.stdout.str()
    assert "transient n = 2, injected at zone.ctor (z); again with: pytest test_it.py::test_leaks" in out
    assert "--faults-n transient:2" in out
    assert "the first item was not given back" in out
    run(pytester, body, "--faults-n", "transient:2").assert_outcomes(failed=1)
    run(pytester, body, "--faults-n", "transient:1").assert_outcomes(passed=1)


def test_a_test_in_which_nothing_was_injected_proves_nothing_and_fails(pytester: pytest.Pytester) -> None:
    ended = run(pytester, '@pytest.mark.faults("mac.init")\ndef test_no():\n    pass\n')
    ended.assert_outcomes(failed=1)
    assert "nothing was ever injected at mac.init: it proves nothing" in ended.stdout.str()


def test_a_sweep_without_an_end_is_a_failure(pytester: pytest.Pytester) -> None:
    body = """
@pytest.mark.faults("app.save", kinds="transient", limit=5)
def test_retries():
    for _ in range(1000):
        try:
            save()
        except ValueError:
            pass
"""
    ended = run(pytester, body)
    ended.assert_outcomes(failed=1)
    assert "transient: 5 runs, and each injected a fault" in ended.stdout.str()


def test_a_declared_points_own_error_is_clean_and_any_other_is_not(pytester: pytest.Pytester) -> None:
    body = """
@pytest.mark.faults("app.save")
def test_clean():
    save()

@pytest.mark.faults("app.save", raises=KeyError)
def test_other():
    save()

@pytest.mark.faults("app.save=nth:raise(OSError)", kinds="transient")
def test_named():
    save()
"""
    ended = run(pytester, body)
    ended.assert_outcomes(passed=2, failed=1)
    ended.stdout.fnmatch_lines(["FAILED test_it.py::test_other*"])


def test_fixtures_are_made_anew_for_each_run_and_are_outside_of_the_fault(pytester: pytest.Pytester) -> None:
    body = """
made = []

@pytest.fixture
def fresh():
    save()
    made.append([])
    return made[-1]

@pytest.mark.faults("app.save", kinds="transient")
def test_fresh(fresh):
    assert fresh == []
    fresh.append(1)
    save()
    save()

def test_three_runs_were_made():
    assert len(made) == 3
"""
    run(pytester, body).assert_outcomes(passed=2)


def test_the_fixture_holds_a_plan_inside_a_block(pytester: pytest.Pytester) -> None:
    body = """
def test_fixture(faults):
    with faults("app.save=nth(2):return") as guard:
        save()
        with pytest.raises(ValueError):
            save()
        save()
    assert (guard.reached, guard.fired) == (3, 1)
    save()

def test_after():
    from faultinj import process
    assert process.in_use() is None
"""
    run(pytester, body).assert_outcomes(passed=2)


def test_markers_that_cannot_be_say_what_is_allowed(pytester: pytest.Pytester) -> None:
    cases = {
        '"zone.aloc"': "did you mean zone.alloc",
        '"zone.alloc", kind="transient"': "knows no 'kind': allowed are kinds, raises, limit, limit_s, setup",
        '"app.save", kinds="kill"': "allowed are transient, persistent",
        '"app.save", limit=0': "a whole number from 1 on",
        '"app.save", raises="OSError"': "exception classes are allowed",
        '"app.save=nth(3)"': "write app.save=nth:ACTION",
        "": "names no point",
    }
    body = "".join(f"\n@pytest.mark.faults({marker})\ndef test_{n}():\n    save()\n" for n, marker in enumerate(cases))
    ended = run(pytester, body)
    ended.assert_outcomes(failed=len(cases))
    for told in cases.values():
        assert told in ended.stdout.str()


def test_every_test_of_a_run_can_be_swept_and_workers_share_them(pytester: pytest.Pytester) -> None:
    body = "".join(f"\ndef test_{n}():\n    save()\n" for n in range(4))
    ended = run(pytester, body, "--faults", "app.*", "-n", "2")
    ended.assert_outcomes(passed=4)
    ended.stdout.fnmatch_lines(["faults: 4 tests swept in 16 runs, 8 faults injected"])


def test_an_action_is_swept_at_each_of_its_points_for_good_too(pytester: pytest.Pytester) -> None:
    body = """
send = faultinj.point("app.send", error=ValueError)
failed = []

@pytest.mark.faults("app.save=nth:return(EIO)", "app.send=nth:return(ENOSPC)", raises=OSError)
def test_both():
    times = []
    try:
        for number in range(3):
            times.append(save)
            save()
        send()
    finally:
        failed.append(len(times))

def test_after():
    # save at 1, 2 and 3, once and for good, each with a run without a fault behind it; send at 1, likewise
    assert failed == [1, 2, 3, 3] * 2 + [3, 3] * 2
"""
    result = run(pytester, body)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["faults: 1 tests swept in 12 runs, 8 faults injected"])


def test_the_second_action_of_a_marker_breaks_the_test(pytester: pytest.Pytester) -> None:
    body = """
send = faultinj.point("app.send", error=ValueError)

@pytest.mark.faults("app.save=nth:return(EIO)", "app.send=nth:return(ENOSPC)", raises=(), kinds="transient")
def test_both():
    try:
        save()
    except OSError:
        pass
    send()
"""
    result = run(pytester, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["transient n = 1, injected at app.send; again with: *"])


def test_clean_errors_of_a_unittest_case_are_clean(pytester: pytest.Pytester) -> None:
    body = """
import unittest

class TestCase(unittest.TestCase):
    @pytest.mark.faults("app.save")
    def test_clean(self):
        save()

    @pytest.mark.faults("app.save", raises=KeyError)
    def test_other(self):
        save()
"""
    run(pytester, body).assert_outcomes(passed=1, failed=1)
