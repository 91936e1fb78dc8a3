"""The faults that are planted on purpose: which text of which file becomes what, who must find it, and as what.

Owns the form of faults.toml and the change of one file. Must not build or run anything.
"""

from pathlib import Path

import msgspec

__all__ = ["TABLE", "Fault", "NotThere", "planted_text", "read_faults"]

TABLE = Path(__file__).with_name("faults.toml")
"""The table, one entry a fault."""


class NotThere(ValueError):
    """A fault's text is not in its file exactly once: the source has moved on, and the table must follow."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault. `file`: from the root of the tree; `old` becomes `new` there; `scenarios` and `kinds`: what is swept;
    `expect`: the kind of the finding; `says`: words of it; `about`: what the mistake is, in one sentence."""

    name: str
    about: str
    file: str
    old: str
    new: str
    scenarios: tuple[str, ...]
    kinds: tuple[str, ...]
    expect: str
    says: str = ""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fault: tuple[Fault, ...]


def read_faults(path: Path = TABLE) -> tuple[Fault, ...]:
    """The faults of a table, in its order. Raises: msgspec.ValidationError: an entry is not as Fault says."""
    return msgspec.toml.decode(path.read_bytes(), type=_Table).fault


def planted_text(text: str, fault: Fault) -> str:
    """The file's text with the fault in it. Raises: NotThere: its old text is missing, or there more than once."""
    found = text.count(fault.old)
    if found != 1:
        raise NotThere(
            f"{fault.name}: the text to replace is in {fault.file} {found} times, not once; "
            f"write in {TABLE.name} what stands there now:\n{fault.old}"
        )
    return text.replace(fault.old, fault.new)
