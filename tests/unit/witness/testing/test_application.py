"""What markers ask for, in force in the test that bears them."""

import pytest

from testruns import bank_project, run

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the module `bank`."""
    return bank_project(pytester)


MARKED = """
import time
import threading
import pytest
import bank

def test_transfer():
    bank.transfer()

@pytest.mark.witness({arguments})
def test_marked():
    {body}

def test_after():
    pass
"""


def marked(project: pytest.Pytester, arguments: str, body: str) -> pytest.RunResult:
    """A run of three tests, the second with this marker and body."""
    project.makepyfile(test_bank=MARKED.format(arguments=arguments, body=body))
    return run(project, "--witness")


def test_ignore_leaves_the_finding_to_the_summary_with_its_reason(project: pytest.Pytester) -> None:
    result = marked(project, 'ignore="only the night job does"', "bank.audit()")
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["suppressed: * (only the night job does)", "*0 found, 0 known, 1 suppressed"])


def test_off_learns_no_order_from_the_test_or_its_children(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_bank="""
        import multiprocessing
        import pytest
        import bank

        @pytest.mark.witness(off=True)
        def test_off():
            bank.audit()
            for method in ("fork", "spawn"):
                child = multiprocessing.get_context(method).Process(target=bank.audit)
                child.start()
                child.join()

        def test_transfer():
            bank.transfer()

        def test_audit():
            bank.audit()
        """
    )
    result = run(project, "--witness")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_bank.py::test_audit*"])


def test_a_declared_order_binds_before_anybody_took_it(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_bank="""
        import pytest
        import bank

        @pytest.mark.witness(order=("bank.py:3", "bank.py:4 RLock"))
        def test_audit():
            bank.audit()
        """
    )
    result = run(project, "--witness")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['  declared: "*bank.py:3" before "*bank.py:4 RLock"'])


def test_an_order_of_what_is_no_lock_or_against_what_is_known_is_an_error(project: pytest.Pytester) -> None:
    result = marked(project, 'order=("bank.py:3", "shop.py:1")', "pass")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(['*orders "shop.py:1", which no lock is called when the test begins*'])
    result = marked(project, 'order=("bank.py:4 RLock", "bank.py:3")', "pass")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*the contrary order is known already*"])


def test_blocking_reports_calls_that_wait_under_a_lock_in_that_test_alone(project: pytest.Pytester) -> None:
    body = "bank.accounts.acquire(); time.sleep(0.001); bank.accounts.release()"
    result = marked(project, "blocking=True", body)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["sleep under lock: time.sleep may sleep while*", '*holding "*bank.py:3" at test_bank.py:11*']
    )
    marked(project, 'ignore="none of that"', body).assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("ignored='x'", "'ignored' is unknown"),
        ("'off'", "'off' has no name"),
        ("", "it has no argument"),
        ("ignore=' '", "gives no reason"),
        ("order='a'", "is no tuple of two names or more"),
        ("off=1", "off=1 is not True"),
    ],
)
def test_a_wrong_marker_is_an_error_that_says_what_is_allowed(
    project: pytest.Pytester, arguments: str, said: str
) -> None:
    result = marked(project, arguments, "pass")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([f'*{said}; allowed are ignore="reason", order=("a", "b"), blocking=True, off=True'])
