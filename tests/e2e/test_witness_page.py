"""The lock-order page in a headless Chromium, used as a person does: clicking, typing, walking by keyboard."""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect

from lockgraphs import bank, large, of_pairs
from witness.analysis.findings import analyse
from witness.record import VERSION, Graph
from witness.report.page import lock_order_page
from witness.report.verdict import Verdict

pytestmark = pytest.mark.xdist_group("browser")
DARK, LIGHT = "rgb(26, 26, 25)", "rgb(252, 252, 251)"


def write(path: Path, graph: Graph) -> Path:
    """Write the page of a graph whose findings are all new."""
    analysis = analyse(graph)
    path.write_text(lock_order_page(Verdict(analysis, new=analysis.findings)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages: the bank's, and that of a large program."""
    folder = tmp_path_factory.mktemp("pages")
    return {"bank": write(folder / "bank.html", bank()), "large": write(folder / "large.html", large())}


def edge(page: Page, words: str) -> str:
    """The selector of the arrow whose label begins with these words."""
    return f'.edge[aria-label^="{words}"]'


def click(page: Page, words: str) -> None:
    """Click in the middle of an arrow's line with the mouse; the middle of its box is seldom on a curve."""
    where = """e => {
        const line = e.querySelector('.hit'), matrix = line.getScreenCTM();
        const point = line.getPointAtLength(line.getTotalLength() / 2).matrixTransform(matrix);
        return [point.x, point.y];
    }"""
    page.mouse.click(*page.locator(edge(page, words)).evaluate(where))


def test_a_click_on_a_reversed_order_shows_both_stacks(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["bank"].as_uri())
    arrow = page.locator(edge(page, "ledger then accounts"))
    expect(arrow).to_have_class(re.compile("feared"))
    assert arrow.locator("path").first.evaluate("e => getComputedStyle(e).stroke") == "rgb(179, 38, 30)"
    click(page, "ledger then accounts")
    stacks = page.locator("#detail ol.stack")
    expect(page.locator("#chosen")).to_have_text("ledger → accounts")
    assert [one.split(" at ")[0] for one in stacks.locator("li:first-child").all_inner_texts()] == [
        *("close_day", "book_interest"),
        *("open_account", "transfer"),
    ]
    expect(arrow).to_have_class(re.compile("chosen"))


def test_an_unreversed_order_is_not_red_and_shows_its_two_stacks(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["bank"].as_uri())
    arrow = page.locator(edge(page, "ledger then vault"))
    expect(arrow).not_to_have_class(re.compile("feared|unlikely"))
    click(page, "ledger then vault")
    expect(page.locator("#detail ol.stack")).to_have_count(2)


def test_a_finding_shows_its_cycle_and_its_text(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["bank"].as_uri())
    expect(page.locator("#findings button")).to_have_count(8)
    button = page.locator("#findings button", has_text="ledger -> accounts -> ledger")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".edge.chosen")).to_have_count(2)
    page.locator("#detail summary").click()
    expect(page.locator("#detail pre")).to_contain_text("lock order ledger -> accounts attempted at:")


def test_filters_by_class_and_process(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["bank"].as_uri())
    expect(page.locator(".node")).to_have_count(5)
    page.locator("#by-class").fill("accounts")
    expect(page.locator(".node")).to_have_count(2)
    page.locator("#by-class").fill("no such")
    expect(page.locator("#shown")).to_have_text("No class is called “no such”.")
    page.locator("#by-class").fill("")
    page.locator("#by-process").select_option("200")
    expect(page.locator(edge(page, "ledger then accounts"))).to_have_count(1)
    expect(page.locator(edge(page, "accounts then ledger"))).to_have_count(0)
    expect(page.locator("#findings button", has_text="time.sleep")).to_have_count(0)


def test_everything_can_be_reached_and_chosen_by_keyboard(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["bank"].as_uri())
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        what = page.evaluate("document.activeElement.dataset.link ?? document.activeElement.id")
        seen.add(what)
        if page.evaluate("document.activeElement.ariaLabel?.startsWith('ledger then accounts')"):
            page.keyboard.press("Enter")
            break
    expect(page.locator("#chosen")).to_have_text("ledger → accounts")
    assert {"by-class", "by-process", "view"} <= seen
    page.keyboard.press("Escape")
    expect(page.locator("#chosen")).to_have_count(0)
    page.locator(".node", has_text="vault").focus()
    page.keyboard.press(" ")
    expect(page.locator("#chosen")).to_have_text("vault")


@pytest.mark.parametrize(("scheme", "colour"), [("light", LIGHT), ("dark", DARK)])
def test_the_page_follows_the_readers_scheme(
    browser: Browser, files: dict[str, Path], scheme: str, colour: str
) -> None:
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(files["bank"].as_uri())
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
    page.close()


def test_a_large_graph_shows_findings_first_and_the_rest_by_filter(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["large"].as_uri())
    expect(page.locator("#shown")).to_contain_text("40 of 1000 classes")
    expect(page.locator(".edge.feared").first).to_be_attached()
    page.locator("#findings button").first.click()
    expect(page.locator(".edge.chosen")).to_have_count(2)
    expect(page.locator("#detail ol.stack")).to_have_count(4)
    page.locator("#by-class").fill("lock0777")
    expect(page.locator("#shown")).to_contain_text("1 class matches")
    expect(page.locator('.node[aria-label*="lock0777"]')).to_have_count(1)
    page.locator("#by-class").fill("")
    page.locator("#view").select_option("all")
    expect(page.locator(".node")).to_have_count(120)


def test_hostile_names_stay_text(page: Page, tmp_path: Path) -> None:
    name = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    graph = bank()
    odd = replace(graph, program=name, classes=(replace(graph.classes[0], name=name), *graph.classes[1:]))
    page.goto(write(tmp_path / "odd.html", odd).as_uri())
    assert page.title() == f"Lock order of {name}"
    page.locator(".node", has_text="</script>").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chosen")).to_have_text(name)
    expect(page.locator("img")).to_have_count(0)


def test_boxes_keep_their_distance_and_no_arrow_of_a_finding_runs_through_one(page: Page, tmp_path: Path) -> None:
    page.goto(write(tmp_path / "sixty.html", large(60, 140, 3, seed=5)).as_uri())
    page.locator("#view").select_option("all")
    expect(page.locator(".node")).to_have_count(60)
    expect(page.locator(".edge.feared")).to_have_count(6)
    boxes = page.locator(".node rect").evaluate_all(
        "all => all.map(e => [e.x.baseVal.value, e.y.baseVal.value, e.width.baseVal.value, e.height.baseVal.value])"
    )
    for number, (x, y, width, height) in enumerate(boxes):
        for left, top, wide, high in boxes[:number]:
            assert x + width < left or left + wide < x or y + height < top or top + high < y
    points = page.locator(".edge.feared .hit").evaluate_all(
        """all => all.map(e => Array.from({length: 401}, (_, n) => {
            const point = e.getPointAtLength(e.getTotalLength() * n / 400);
            return [point.x, point.y];
        }))"""
    )
    for line in points:
        inside = [
            (x, y)
            for x, y in line[8:-8]  # the ends touch their own boxes
            for left, top, wide, high in boxes
            if left < x < left + wide and top < y < top + high
        ]
        assert inside == []


def test_names_can_be_read_without_zooming(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["large"].as_uri())
    scale = page.locator("#graph").evaluate("e => e.getScreenCTM().a")
    assert scale * 12 >= 9, "12 px is the size of the names"


def test_the_focus_stays_where_it_was_when_escape_clears(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["bank"].as_uri())
    page.locator(edge(page, "ledger then vault")).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".node.chosen")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator(".chosen")).to_have_count(0)
    expect(page.locator(edge(page, "ledger then vault"))).to_be_focused()


def test_a_finding_without_an_order_marks_its_class(page: Page, files: dict[str, Path]) -> None:
    page.goto(files["bank"].as_uri())
    page.locator("#findings button", has_text="time.sleep").click()
    expect(page.locator(".node.chosen text")).to_have_text("ledger")
    expect(page.locator(".edge.chosen")).to_have_count(0)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (Graph(VERSION, "idle.py"), "No lock was taken: there is nothing to draw."),
        (of_pairs({}, 2), "All: 2 classes, 0 orders. No lock was taken while another was held."),
        (of_pairs({(1, 2): 1}, 2), "All: 2 classes, 1 order."),
    ],
)
def test_what_is_empty_says_so(page: Page, tmp_path: Path, graph: Graph, said: str) -> None:
    page.goto(write(tmp_path / "empty.html", graph).as_uri())
    expect(page.locator("#shown")).to_have_text(said)
    expect(page.locator("#findings")).to_have_text("Nothing was found.")
    expect(page.locator(".lead")).to_contain_text("Nothing new found.")
    expect(page.locator("details.order")).to_have_count(1 if graph.classes else 0)
