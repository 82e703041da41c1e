"""Numbers and names as people write them."""

import pytest

from saltus.results import units


@pytest.mark.parametrize(
    ("text", "value"), [("160M", 160e6), ("1.4b", 1.4e9), ("2T", 2e12), ("1,000", 1000.0), ("3e9", 3e9), ("x", None)]
)
def test_quantities(text, value):
    assert units.parse_quantity(text) == value
