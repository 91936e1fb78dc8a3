"""The grammar of faults: what is read is printed as it was, and what cannot be read says where and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faultinj.grammar import GrammarError, parse_plan, parse_program
from faultinj.program import FILTERS, TRIGGERS, Filter, Modifier, Plan, Program, Setting, Term

numbers = st.integers(1, 1 << 39)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,6}(\.[a-z_*?]{1,6}){0,2}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
modifiers = st.one_of(
    st.builds(Modifier, st.just("percent"), st.integers(0, 1_000_000)),
    st.builds(Modifier, st.sampled_from(("count", *TRIGGERS)), numbers),
)
filters = st.one_of(
    st.builds(Filter, st.sampled_from(("pid", "cpu", "step")), st.integers(0, (1 << 32) - 1)),
    st.builds(Filter, st.just("size"), numbers),
    st.builds(Filter, st.just("flags"), st.sampled_from(("M_NOWAIT", "M_WAITOK|M_ZERO"))),
    st.builds(Filter, st.sampled_from(("zone", "stack", "!stack")), texts),
)


def one_of_each(kinds: list[Modifier]) -> tuple[Modifier, ...]:
    seen = {"count" if m.kind == "times" else m.kind: m for m in kinds}
    return tuple(seen.values())


def terms(inside: bool) -> st.SearchStrategy[Term]:
    arguments: dict[str, st.SearchStrategy[object]] = {
        **dict.fromkeys(("off", "kill", "pause", "yield", "break"), st.none()),
        "return": st.one_of(st.none(), st.sampled_from(("ENOSPC", "SM_LIMIT", "5", "-1"))),
        "raise": st.sampled_from(("ValueError", "app.errors.Broken")),
        **dict.fromkeys(("panic", "print"), st.one_of(st.none(), texts)),
        "callback": texts,
        **dict.fromkeys(("sleep", "delay"), st.integers(0, 1 << 39)),
    }
    if not inside:
        arguments["arm"] = st.builds(Setting, names, programs(inside=True))
    return st.sampled_from(sorted(arguments)).flatmap(
        lambda action: st.builds(
            Term,
            st.just(action),
            st.lists(modifiers, max_size=3).map(one_of_each),
            arguments[action],
            st.lists(filters, max_size=3, unique_by=lambda f: f.kind).map(tuple),
        )
    )


def programs(inside: bool) -> st.SearchStrategy[Program]:
    return st.lists(terms(inside), min_size=1, max_size=3).map(lambda found: Program(tuple(found)))


plans = st.lists(st.builds(Setting, names, programs(inside=False)), max_size=3).map(lambda found: Plan(tuple(found)))


@given(plans)
def test_what_is_printed_reads_as_the_same_plan_and_prints_the_same_again(plan: Plan) -> None:
    text = str(plan)
    assert parse_plan(text) == plan
    assert str(parse_plan(text)) == text


@given(st.text(st.sampled_from("abn.*=5%>-()[]:; 'nthretu\"\\"), max_size=30))
def test_any_text_is_a_plan_or_an_error_with_its_column(text: str) -> None:
    try:
        plan = parse_plan(text)
    except GrammarError as error:
        refused = error
    else:
        assert parse_plan(str(plan)) == plan
        return
    assert 1 <= refused.column <= len(text) + 1
    assert f"column {refused.column}: " in str(refused)


@pytest.mark.parametrize(
    "text",
    [
        "return",
        "5%return(5)->0.1%3*return(22)->panic",  # as fail(9) writes it
        "3*return(1)[pid 4]",
        "50.5%return",
        "nth(3):return(SM_NO_MEMORY)",
        "interval(4):2%3*sleep(10)[cpu 2][zone frame*][size>=4096][flags M_NOWAIT|M_ZERO]",
        'space(65536):print("nearly \\"full\\"")[!stack app.py:warm_up]',
        "nth(2):arm(queue.put=times(3):return->off)->delay(5)",
        'callback("app.faults:later")->raise(app.Broken)->break->yield->pause->kill[step 17]',
    ],
)
def test_a_program_is_printed_as_it_was_written(text: str) -> None:
    assert str(parse_program(text)) == text


def test_blanks_and_superfluous_digits_are_left_out() -> None:
    assert str(parse_program(" 050.50 % 03* return ( 05 )  [ pid 4 ] -> off ")) == "50.5%3*return(5)[pid 4]->off"
    assert str(parse_program(".5%return->100.00000%off")) == "0.5%return->100%off"
    assert str(parse_plan("a=off ;\n b.*=kill;")) == "a=off; b.*=kill"


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "expected an action"),
        ("retrun(5)", 1, "did you mean 'return'?"),
        ("5return", 1, "expected '%' or '*' after this number"),
        ("101%return", 1, "from 0 to 100"),
        ("0.00001%return", 1, "4 digits after the point"),
        (f"{'9' * 400}%return", 1, "from 0 to 100"),
        ("0*return", 1, "a count from 1"),
        (f"{'9' * 5000}*return", 1, "a count from 1 to 1099511627775"),
        (f"nth({'9' * 5000}):return", 5, "a whole number from 1 to 1099511627775"),
        ("nth(\u0663):return", 5, "a whole number from 1"),  # a digit, but none of ASCII
        ("return(99999999999)", 8, "expected a code from -2147483647 to 2147483647"),
        (f"return({'9' * 5000})", 8, "expected a code from"),
        ('print("a\0b")', 9, "that UTF-8 and C can hold"),
        ('print("\udcff")', 8, "that UTF-8 and C can hold"),
        ("arm(" + "a" * 64 + "=off)", 5, "at most 63 bytes"),
        ("2*times(3):return", 3, "times(N): is the same as N*"),
        ("nth(x):return", 5, "the N of nth, a whole number from 1"),
        ("nth(0):return", 5, "a whole number from 1"),
        ("nth(3)return", 7, "expected ':' and an action after nth(3)"),
        ("sleep", 6, "expected '(' and an argument: sleep(10), in milliseconds"),
        ("kill(9)", 5, "kill takes none"),
        ("return(5", 9, "expected ')' after the argument of return; the text ends here"),
        ('panic("x', 7, "has no end"),
        ('panic("\\q")', 9, "after a backslash"),
        ("return[zon e]", 8, "did you mean 'zone'?"),
        ("return[size 5]", 13, "expected '>='"),
        ("return[pid 1][pid 2]", 15, "one pid only"),
        ("arm(a=arm(b=off))", 10, "no cascade inside of a cascade"),
        ("return]", 7, "expected '->' and a term, or the end; found ']'"),
        ("->".join(["off"] * 9), 41, "at most 8"),
    ],
)
def test_an_error_says_where_and_what_was_expected(text: str, column: int, words: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_program(text)
    assert (caught.value.column, caught.value.text) == (column, text)
    assert words in caught.value.reason
    shown, mark = str(caught.value).split("\n")[1:3]
    if len(text) <= 160 and text.isprintable():
        assert shown == f"  {text}"
        assert mark.index("^") == 2 + column - 1
    assert mark.strip() == "^"
    assert max(len(shown), len(mark)) < 180


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, " " * 1_000_000 + "=", "a=" + "arm(a=" * 100_000, "a=off" + "->off" * 100_000, "-" * 1_000_000],
)
def test_an_error_in_a_megabyte_shows_the_place_alone(text: str) -> None:
    with pytest.raises(GrammarError) as caught:
        parse_plan(text)
    assert len(str(caught.value)) < 700
    shown, mark = str(caught.value).split("\n")[1:3]
    place = caught.value.column - 1
    assert shown[mark.index("^") :].startswith(text[place : place + 10])


def test_the_mark_is_under_its_character_where_others_are_wide_or_do_not_print() -> None:
    with pytest.raises(GrammarError) as caught:
        parse_program('print("\u65e5\u672c\u8a9e e\u0301 \x1b[31m")\r\n retrun')
    shown, mark = str(caught.value).split("\n")[1:3]
    assert "\x1b" not in shown
    before = shown[: shown.index("retrun")]
    assert mark.index("^") == len(before) + 3 - 1  # three that are two cells wide, one that has none


def test_an_error_in_a_plan_counts_its_column_from_the_plan_s_beginning() -> None:
    with pytest.raises(GrammarError, match="column 11: expected an action"):
        parse_plan("a=off; b= ;")
    with pytest.raises(GrammarError, match="the name of a point"):
        parse_plan("=off")
    assert set(FILTERS) >= {"pid", "cpu", "zone", "size", "flags", "stack", "!stack"}
