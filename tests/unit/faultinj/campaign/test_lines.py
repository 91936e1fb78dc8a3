"""faultinj.campaign.lines finds every key of a TOML text, however it is written."""

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from faultinj.campaign.lines import Key, key_lines, line_of

TEXT = '''# a comment = "no key"
title = "x"
[campaign]
name = """
[not.a.table]
fake = 1
""" # the end
kinds = [
  "kill", # ] not the end
  'pair',

  "transient" ]
"quoted key" = { a = 1, b.c = [1, 2] }
when = 2027-06-30
dotted . inside = 'it is # no comment'

[[suppress]]
reason = "first"
[[suppress]]
reason = "second, with \\"quotes\\" and = signs"
  [suppress.more]
  deep = 3
[a."b.c".'d']
e = 1
'''


def test_keys_tables_elements_and_inline_tables_have_their_lines() -> None:
    tomllib.loads(TEXT)
    lines = key_lines(TEXT)
    expected: dict[Key, int] = {
        ("title",): 2,
        ("campaign",): 3,
        ("campaign", "name"): 4,
        ("campaign", "kinds"): 8,
        ("campaign", "kinds", 0): 9,
        ("campaign", "kinds", 1): 10,
        ("campaign", "kinds", 2): 12,
        ("campaign", "quoted key"): 13,
        ("campaign", "quoted key", "a"): 13,
        ("campaign", "quoted key", "b", "c", 1): 13,
        ("campaign", "when"): 14,
        ("campaign", "dotted", "inside"): 15,
        ("suppress", 0): 17,
        ("suppress", 0, "reason"): 18,
        ("suppress", 1): 19,
        ("suppress", 1, "reason"): 20,
        ("suppress", 1, "more", "deep"): 22,
        ("a", "b.c", "d"): 23,
        ("a", "b.c", "d", "e"): 24,
    }
    assert {key: lines.get(key) for key in expected} == expected


def test_no_key_is_made_up_out_of_strings_and_comments() -> None:
    names = {part for key in key_lines(TEXT) for part in key if isinstance(part, str)}
    assert not names & {"fake", "not", "no key"}


def test_what_is_missing_is_told_where_it_would_stand() -> None:
    lines = key_lines(TEXT)
    assert line_of(lines, ("suppress", 1, "expires")) == 19
    assert line_of(lines, ("nothing", "here")) == 1


def _paths(value: object, above: Key = ()) -> set[Key]:
    found: set[Key] = set()
    if isinstance(value, dict):
        for name, inner in value.items():
            found |= {(*above, name)} | _paths(inner, (*above, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found |= {(*above, place)} | _paths(inner, (*above, place))
    return found


def _written(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_written(name)} = {_written(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + ",\n".join(_written(inner) for inner in value) + " ]"
    if isinstance(value, str):
        return (
            '"' + "".join(f"\\U{ord(c):08x}" if c in '"\\' or ord(c) < 32 or ord(c) == 127 else c for c in value) + '"'
        )
    return str(value)


names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
values = st.recursive(
    st.integers(-9, 9) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(names, values, max_size=4))
def test_every_key_that_tomllib_reads_is_found(content: dict[str, object]) -> None:
    text = "".join(f"{_written(name)} = {_written(value)}\n" for name, value in content.items())
    read = tomllib.loads(text)
    assert _paths(read) == key_lines(text).keys() - {()}
