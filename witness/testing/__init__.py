"""Test runs under witness: what `pytest --witness` does. One graph for the run, its workers, and what the tests start.

The graph lives in an arena that the first process of the run makes, as `witness run` does. Workers of pytest-xdist and
children of tests join it through their environment, before anything of theirs is imported.
"""

import pytest

__all__ = ["begin"]


def begin(config: pytest.Config) -> None:
    """Watch the locks of this process from now on, and follow its tests.

    Raises: pytest.UsageError: the graph cannot be made or joined, or a file that the settings name is wrong.
    """
    from witness.testing.session import Session
    from witness.testing.settings import read_settings
    from witness.testing.sharing import share

    settings = read_settings(config)
    sharing = share(settings)
    config.add_cleanup(sharing.end)
    config.pluginmanager.register(Session(config, settings, sharing), "witness-session")
