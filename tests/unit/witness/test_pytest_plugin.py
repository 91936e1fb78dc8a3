"""`pytest --witness` as it is used: which test fails, what it says, workers and children."""

import json
import os
import sys

import pytest

from testruns import TESTS, bank_project, output, run

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the module `bank`."""
    return bank_project(pytester)


def test_the_test_that_reverses_the_order_fails_and_says_where_both_were_taken(project: pytest.Pytester) -> None:
    project.makepyfile(test_bank=TESTS)
    result = run(project, "--witness", "--witness-record", "graph.json")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*_ test_audit _*",
            "lock order reversal: *bank.py:4 RLock -> *bank.py:3 -> *bank.py:4 RLock",
            "  in this test, *",
            '    took "*bank.py:3" at bank.py:13 in audit:  with accounts:',
            "      from test_bank.py:7 in test_audit:  bank.audit()",
            '    holding "*bank.py:4 RLock" at bank.py:12 in audit:  with ledger:',
            "  before, *",
            '    took "*bank.py:4 RLock" at bank.py:8 in transfer:  with ledger:',
            "      from test_bank.py:4 in test_transfer:  bank.transfer()",
            f"more: witness report {project.path / 'graph.json'}",
            "*= witness =*",
            "test_bank.py::test_audit: *",
            "*1 found, 0 known, 0 suppressed",
        ]
    )
    told = output(result).split("_ test_audit _")[1].split("more: ")[0]
    assert "_pytest" not in told  # of either stack the project's frames alone
    assert "pluggy" not in told
    assert len(json.loads((project.path / "graph.json").read_text())["reversals"]) == 1


def test_without_the_option_nothing_is_imported_and_nothing_is_watched(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_bank=TESTS,
        test_modules="""
        import sys, threading, _thread

        def test_modules():
            ours = {name for name in sys.modules if name.split(".")[0] in ("witness", "shmalloc", "networkx")}
            assert ours == {"witness", "witness.pytest_plugin"}
            assert threading.Lock is _thread.allocate_lock
        """,
    )
    run(project).assert_outcomes(passed=4)


def test_halves_in_two_workers_are_put_together_and_fail_the_second(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_bank="""
        import os
        import bank

        # Kept open until the worker ends: what is written stays readable.
        pipe = os.open("pipe", os.O_RDWR)

        def test_transfer():
            bank.transfer()
            os.write(pipe, b"x")

        def test_audit():
            os.read(pipe, 1)
            bank.audit()
        """
    )
    (project.path / "pipe").unlink(missing_ok=True)
    os.mkfifo(project.path / "pipe")
    result = run(project, "--witness", "-n", "2", "--witness-record", "graph.json", "--witness-json", "report.json")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*_ test_audit _*", "  in this test, gw? (pid *", "  before, gw? (pid *"])
    [reversal] = json.loads((project.path / "graph.json").read_text())["reversals"]
    assert reversal["attempted"][0]["pid"] != reversal["established"][0]["pid"]
    [told] = json.loads((project.path / "report.json").read_text())["reversals"]
    assert told["state"] == "new"


def test_another_workers_finding_fails_no_test_of_this_one(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_bank="""
        import os
        import bank

        # Kept open until the worker ends: what is written stays readable.
        ready, done = os.open("ready", os.O_RDWR), os.open("done", os.O_RDWR)

        def test_bystander():
            os.write(ready, b"x")
            os.read(done, 1)

        def test_culprit():
            os.read(ready, 1)
            bank.transfer()
            try:
                bank.audit()
            finally:
                os.write(done, b"x")
        """
    )
    for name in ("ready", "done"):
        os.mkfifo(project.path / name)
    result = run(project, "--witness", "-n", "2")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_bank.py::test_culprit*"])


@pytest.mark.parametrize("how", ["fork", "spawn", "subprocess"])
def test_what_a_child_of_a_test_does_counts_for_the_test(project: pytest.Pytester, how: str) -> None:
    project.makepyfile(
        test_bank=f"""
        import multiprocessing, subprocess, sys
        import bank

        def test_transfer():
            bank.transfer()

        def test_child():
            if {how!r} == "subprocess":
                subprocess.run([sys.executable, "-c", "import bank; bank.audit()"], check=True)
            else:
                child = multiprocessing.get_context({how!r}).Process(target=bank.audit)
                child.start()
                child.join()

        def test_after():
            pass
        """
    )
    result = run(project, "--witness")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_bank.py::test_child*"])


def test_fixtures_count_for_the_call_on_the_way_in_and_for_the_teardown_on_the_way_out(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(
        test_bank="""
        import threading
        import pytest
        import bank

        one, two = threading.Lock(), \\
            threading.RLock()

        @pytest.fixture
        def audited():
            bank.transfer()
            bank.audit()

        @pytest.fixture
        def undone():
            yield
            with one, two:
                pass
            with two, one:
                pass

        def test_in(audited):
            pass

        def test_out(undone):
            pass
        """
    )
    result = run(project, "--witness")
    result.assert_outcomes(passed=1, failed=1, errors=1)
    result.stdout.fnmatch_lines(["FAILED test_bank.py::test_in*", "ERROR test_bank.py::test_out*"])


def test_locks_of_a_conftest_are_watched_and_what_is_found_on_import_fails_the_run(project: pytest.Pytester) -> None:
    project.makeconftest("import bank\nbank.transfer()\n")
    project.makepyfile(test_bank="import bank\nbank.audit()\n\ndef test_nothing(): pass\n")
    result = run(project, "--witness")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["found outside of tests: lock order reversal: *"])


def test_a_test_that_fails_of_itself_tells_both(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_bank="""
        import bank

        def test_both():
            bank.transfer()
            bank.audit()
            assert 1 == 2
        """
    )
    result = run(project, "--witness")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2", "*Captured witness call*", "lock order reversal: *"])


def test_it_works_without_xdist_and_when_named_by_hand(project: pytest.Pytester) -> None:
    project.makepyfile(test_bank=TESTS)
    run(project, "--witness", "-p", "no:xdist").assert_outcomes(passed=2, failed=1)
    run(project, "-p", "witness.pytest_plugin", "--witness").assert_outcomes(passed=2, failed=1)


def test_an_arena_that_is_armed_in_a_test_fails_it_unless_the_test_looks_at_the_reports_itself(
    project: pytest.Pytester, arena_name: str
) -> None:
    project.makepyfile(
        test_arena=f"""
        import pytest
        import shmalloc, witness

        def reverse(**options):
            with shmalloc.Arena.create({arena_name!r}, max_size="64M") as arena:
                try:
                    witness.arm(arena, **options)
                    a, b = arena.mutex("a"), arena.mutex("b")
                    with a, b:
                        pass
                    with b, a:
                        pass
                finally:
                    arena.unlink()

        def test_told():
            reverse()

        def test_own():
            reverse(output=None)
        """
    )
    result = run(project, "--witness")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*_ test_told _*", "lock order reversal:", " 1st b *", "(in the graph of an arena of its own)"]
    )


def test_it_joins_the_graph_of_witness_run(project: pytest.Pytester) -> None:
    project.makepyfile(test_bank=TESTS)
    result = project.run(
        *(sys.executable, "-m", "witness.cli", "run", "--record", "all.json"),
        *("-m", "pytest", "--witness", "-p", "no:cacheprovider"),
        timeout=100,
    )
    result.assert_outcomes(passed=2, failed=1)
    assert result.ret == 1
    assert len(json.loads((project.path / "all.json").read_text())["reversals"]) == 1


def test_what_watched_processes_import_before_pytest_asks_not_to_be_rewritten(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_worker="""
        import sys

        def test_imported():
            early = {name.split(".")[0] for name in sys.modules} & {"witness", "shmalloc", "faultinj", "workloads"}
            assert early == {"witness", "shmalloc", "faultinj"}
            for name in early:
                assert "PYTEST_DONT_REWRITE" in sys.modules[name].__doc__
        """
    )
    run(project, "--witness", "-n", "1").assert_outcomes(passed=1)
