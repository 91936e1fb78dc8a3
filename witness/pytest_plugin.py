"""The pytest plugin `pytest --witness`: its options, its marker, and the moment at which it begins. PYTEST_DONT_REWRITE

Loaded by every pytest of an environment that has this package, so it imports nothing but pytest until it is asked for.
What it does then is ``witness.testing``.
"""

import pytest

__all__ = ["pytest_addoption", "pytest_configure", "pytest_load_initial_conftests"]

_MARKER = (
    'witness(ignore="reason", order=("a", "b"), blocking=True, off=True): under --witness: findings of the test do not '
    "fail it; locks that must be taken in this order; calls that block under a lock fail it; nothing is checked"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and the settings of the ini file."""
    group = parser.getgroup("witness", "lock order")
    group.addoption(
        "--witness",
        action="store_true",
        help="Watch the locks of the tests and of the processes that they start; a test that takes two of them against "
        "the order fails.",
    )
    group.addoption(
        "--witness-record", metavar="FILE", help="Write the graph, for `witness report`; implies --witness."
    )
    group.addoption("--witness-json", metavar="FILE", help="Write the report as JSON; implies --witness.")
    parser.addini("witness", type="bool", default=False, help="As --witness.")
    parser.addini("witness_record", default="", help="As --witness-record, in runs that are under witness.")
    parser.addini("witness_blocking", type="bool", default=False, help="Report calls that block under a lock.")
    parser.addini(
        "witness_allow",
        type="linelist",
        default=[],
        help="Callers that may block: FILE[:FUNCTION], patterns, one a line.",
    )
    parser.addini("witness_suppressions", default="", help="Rules for findings that may stay (TOML).")
    parser.addini("witness_baseline", default="", help="Findings that are known: only new ones fail.")


def _wanted(config: pytest.Config) -> bool:
    options = config.known_args_namespace
    asked = options.witness or options.witness_record or options.witness_json or config.getini("witness")
    return bool(asked) and not options.help and not options.version


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin before the first conftest is imported: locks that are made there are watched."""
    _begin(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Name the marker; begin now, if a conftest loaded this plugin too late for the hook above."""
    config.addinivalue_line("markers", _MARKER)
    _begin(config)


def _begin(config: pytest.Config) -> None:
    if _wanted(config) and not config.pluginmanager.has_plugin("witness-session"):
        from witness.testing import begin

        begin(config)
