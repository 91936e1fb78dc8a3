"""What the ini file says of a run under witness."""

import pytest

from testruns import TESTS, bank_project, run

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with the module `bank`."""
    return bank_project(pytester)


def test_the_ini_file_alone_turns_it_on_and_names_the_files(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\npythonpath = .\nwitness = true\nwitness_record = out.json\n")
    project.makepyfile(test_bank=TESTS)
    run(project).assert_outcomes(passed=2, failed=1)
    assert (project.path / "out.json").exists()
    run(project, "-o", "witness=false").assert_outcomes(passed=3)

    project.makeini("[pytest]\npythonpath = .\nwitness = true\nwitness_baseline = out.json\n")
    result = run(project)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["known: *", "*0 found, 1 known, 0 suppressed"])

    (project.path / "rules.toml").write_text('[[suppress]]\nreason = "agreed"\nclasses = ["*bank.py*"]\n')
    project.makeini("[pytest]\npythonpath = .\nwitness = true\nwitness_suppressions = rules.toml\n")
    result = run(project)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["suppressed: * (agreed)"])

    (project.path / "rules.toml").write_text("[[suppress]]\n")
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*rules.toml:1: the rule gives no reason*"])


def test_the_ini_file_reports_blocking_calls_everywhere_but_from_where_they_are_allowed(
    project: pytest.Pytester,
) -> None:
    ini = "[pytest]\npythonpath = .\nwitness = true\nwitness_blocking = true\n"
    project.makepyfile(
        test_bank="""
        import time
        import bank

        def test_sleep():
            with bank.accounts:
                time.sleep(0.001)
        """
    )
    project.makeini(ini)
    run(project).assert_outcomes(failed=1)
    run(project, "-n", "1").assert_outcomes(failed=1)
    project.makeini(ini + "witness_allow =\n    */test_bank.py:test_sleep\n")
    run(project).assert_outcomes(passed=1)
