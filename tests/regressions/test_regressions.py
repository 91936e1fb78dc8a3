"""Every trial that once found something and was kept still comes to what its file expects.

A file is made with `faultinj campaign shrink ID --save tests/regressions`, and is a test from then on.
"""

from pathlib import Path

import pytest

from faultinj.campaign.driver import load_driver
from faultinj.campaign.regression import check_regression, read_regression

FILES = sorted(Path(__file__).parent.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_comes_to_what_its_file_expects(path: Path) -> None:
    regression = read_regression(path)
    driver = load_driver(imports=regression.imports)
    try:
        check_regression(regression, driver.run_trial)
    finally:
        driver.clear()


def test_there_are_files() -> None:
    assert FILES
