"""No test of faults leaves a block in use behind it."""

from collections.abc import Iterator

import pytest

from faultinj import process


@pytest.fixture(autouse=True)
def no_block_in_use() -> Iterator[None]:
    """Every test starts with no block, and ends so."""
    process.use(None)
    yield
    process.use(None)
