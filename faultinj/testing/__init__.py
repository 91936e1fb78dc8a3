"""Tests under faults: what the marker `faults` does. Loaded when a test asks for it."""
