"""A campaign file is typed, and what is wrong in it is told with file, line, key and what is allowed."""

import datetime
from pathlib import Path

import pytest

from faultinj.campaign.spec import CampaignUnreadable, parse_campaign, read_campaign
from unit.faultinj.campaign.conftest import planned

FULL = """
[campaign]
name = "nightly"
engine = "processes:2"
chunk = 8
[[sweep]]
scenarios = ["pond.*"]
kinds = ["transient", "kill"]
points = ["zone.*", "page.commit"]
seeds = [0, 7]
n = 50
[limits]
n = 40
seconds = 2.5
[gate]
max_findings = 3
coverage = 0.5
points = ["zone.*"]
[argued]
"moon.phase" = "no moon"
[[suppress]]
reason = "known"
finding = "leak"
expires = 2027-06-30
"""


def test_a_whole_file_is_read() -> None:
    campaign, _ = parse_campaign(FULL, "f.toml")
    assert campaign.campaign.name == "nightly"
    assert campaign.sweep[0].seeds == (0, 7)
    assert campaign.limits.seconds == 2.5
    assert campaign.suppress[0].expires == datetime.date(2027, 6, 30)
    assert campaign.suppress[0].line == 21


def test_lists_multiply_to_cells_with_the_smaller_limit_and_kills_only_once() -> None:
    _, cells = planned(FULL)
    assert [str(cell) for cell in cells if cell.scenario == "pond.tiny"] == [
        "pond.tiny/transient points=zone.*",
        "pond.tiny/transient points=zone.* seed=7",
        "pond.tiny/transient points=page.commit",
        "pond.tiny/transient points=page.commit seed=7",
        "pond.tiny/kill",
        "pond.tiny/kill seed=7",
    ]
    assert len(cells) == 12
    assert {cell.most for cell in cells} == {40}


def test_a_kind_that_a_scenario_is_not_made_for_is_left_out_of_it() -> None:
    _, cells = planned('[campaign]\nname = "p"\n[[sweep]]\nscenarios = ["pond.*"]\nkinds = ["pair", "kill"]\n')
    assert [str(cell) for cell in cells] == ["pond.tiny/pair", "pond.tiny/kill", "pond.wide/kill"]


HEAD = '[campaign]\nname = "x"\n'
SWEEP = '[[sweep]]\nscenarios = ["*"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            HEAD + 'engin = "local"\n' + SWEEP,
            "f.toml:3: campaign.engin: unknown; did you mean 'engine'? (allowed here: ",
        ),
        (
            HEAD + SWEEP + 'kinds = ["kill",\n  "transeint"]\n',
            "f.toml:6: sweep[0].kinds[1]: 'transeint' is unknown; did",
        ),
        (HEAD + SWEEP + "n = 0\n", "f.toml:5: sweep[0].n: expected int >= 1"),
        (HEAD + SWEEP + 'n = "all"\n', "f.toml:5: sweep[0].n: expected int | null, got str"),
        (HEAD + "[[sweep]]\n", "f.toml:3: sweep[0]: 'scenarios' is missing"),
        (HEAD, "f.toml:1: 'sweep' is missing"),
        (HEAD + "sweep = []\n", "f.toml:3: campaign.sweep: unknown"),
        ('[campaign]\nname = "a b"\n' + SWEEP, "f.toml:2: campaign.name: expected str of the form"),
        (HEAD + SWEEP + "[gate]\n\ncoverage = 90\n", "f.toml:7: gate.coverage: expected float <= 1.0"),
        (HEAD + SWEEP + '[argued]\n"a.b" = 3\n', 'f.toml:6: argued."a.b": expected str, got int'),
        (HEAD + SWEEP + '[[suppress]]\nkind = "x"\n', "f.toml:5: suppress[0]: 'reason' is missing"),
        (HEAD + SWEEP + '[[suppress]]\nreason = "x"\n', "f.toml:5: suppress[0]: the rule would suppress every finding"),
        (HEAD + SWEEP + '[[suppress]]\nreason = "x"\nline = 3\n', "f.toml:7: suppress[0].line: unknown"),
        (HEAD + SWEEP + "seeds = [0, 1, -1]\n", "f.toml:5: sweep[0].seeds[2]: expected int >= 0"),
        (HEAD + SWEEP + f"seeds = [{'9' * 30}]\n", "f.toml:5: sweep[0].seeds[0]: "),
        (HEAD + SWEEP + f"n = {'9' * 30}\n", "f.toml:5: sweep[0].n: "),
        (HEAD + "chunk = \n" + SWEEP, "f.toml:3: this is no TOML: "),
        (HEAD + SWEEP + "[limits\n", "f.toml:5: this is no TOML: "),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(CampaignUnreadable) as wrong:
        parse_campaign(text, "f.toml")
    assert str(wrong.value).startswith(said)
    assert wrong.value.source == "f.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[sweep]]\nscenarios = [\n "pond.*",\n "sea.leeky"]\n', "f.toml:6: sweep[0].scenarios[1]: no scenario is"),
        ('[[sweep]]\nscenarios = ["lake.*"]\n', "f.toml:4: sweep[0].scenarios[0]: no scenario matches 'lake.*'"),
        (SWEEP + 'points = ["zone.cotr"]\n', "no point is called 'zone.cotr'; did you mean 'zone.ctor'?"),
        (SWEEP + '[gate]\npoints = ["zoo.*"]\n', "f.toml:6: gate.points[0]: no point matches 'zoo.*'"),
        (SWEEP + '[argued]\n"moon.fase" = "?"\n', "did you mean 'moon.phase'?"),
    ],
)
def test_names_that_are_unknown_are_told_with_the_nearest(text: str, said: str) -> None:
    with pytest.raises(CampaignUnreadable) as wrong:
        planned(HEAD + text)
    assert said in str(wrong.value).replace("test.toml", "f.toml")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CampaignUnreadable, match=r"none\.toml: cannot be read: No such file"):
        read_campaign(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"\n')
    with pytest.raises(CampaignUnreadable, match="is not UTF-8"):
        read_campaign(tmp_path / "latin.toml")
