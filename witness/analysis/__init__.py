"""What a lock-order graph means, worked out afterwards from the plain record: `analyse` is the door.

Reads `witness.record` and nothing live; prints and draws nothing.
"""

from witness.analysis.findings import Analysis, Finding, Level, Rule, analyse

__all__ = ["Analysis", "Finding", "Level", "Rule", "analyse"]
