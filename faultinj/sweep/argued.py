"""Points that no scenario can reach on every machine, with the reason. Owns the list; it is to be as short as can be.

Each reason must be true of the code: a point that a scenario does reach here is refused by a test.
"""

__all__ = ["ARGUED"]

ARGUED: dict[str, str] = {}
