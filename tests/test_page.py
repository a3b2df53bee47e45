"""The page in a real browser, as a visitor uses it."""

import base64
import csv
import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from app_server import Server
from conftest import BUNDLED, EXAMPLES
from PIL import Image

import app
from esrgan.evaluation.maps import draw_doubt, draw_error, draw_winner
from esrgan.evaluation.metrics import METRICS, compare
from esrgan.evaluation.study import bicubic, measure, read_truth
from esrgan.images.bounded import read_image
from esrgan.images.resize import shrink
from esrgan.page.limits import seen_part
from esrgan.page.photo_tab import PEEKED

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

WAIT = 60_000
TABS = ("Compare", "Upscale", "Batch", "Blind test", "Study")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@pytest.fixture(scope="module")
def browser() -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, "--disable-component-update"])
        yield browser
        browser.close()


class Visitor:
    """Someone in front of the page."""

    def __init__(self, page: "sync_api.Page", url: str) -> None:
        self.page = page
        self.requests: list[str] = []
        self.problems: list[str] = []
        page.set_default_timeout(WAIT)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.goto(url)
        page.get_by_role("heading", name="A small photo, and what a model makes of it").wait_for()

    @property
    def tab(self) -> "sync_api.Locator":
        return self.page.locator("[role=tabpanel]:visible")

    def click_example(self, index: int) -> None:
        self.tab.locator("button.gallery-item").nth(index).click()

    def upload(self, path: Path) -> None:
        self.tab.locator("input[type=file]").first.set_input_files(path)

    def verdict(self, words: str) -> str:
        """The headline once it contains these words."""
        headline = self.tab.locator("h2").filter(has_text=words)
        headline.wait_for()
        return headline.inner_text()

    def table(self) -> list[list[str]]:
        rows = self.tab.locator("table tbody tr")
        rows.first.wait_for()
        return [row.locator("td").all_inner_texts() for row in rows.all()]

    def pictures(self, *names: str) -> list[np.ndarray]:
        """These pictures as the browser was given them, side by side on the stage, once they are computed."""
        self.tab.get_by_role("button", name="Side by side").click()
        sources = []
        for name in names:
            image = self.tab.locator(f".pane:not(.pending) img[src$='-{name}.png']")
            image.wait_for()
            sources.append(str(image.evaluate("image => image.src")))
        return [self.fetch(source) for source in sources]

    def fetch(self, url: str) -> np.ndarray:
        response = self.page.request.get(url)
        assert response.headers["content-type"] == "image/png"
        return np.asarray(Image.open(io.BytesIO(response.body())))

    def loaded(self, selector: str) -> "sync_api.Locator":
        """The first such image, once it is there to be clicked on."""
        image = self.tab.locator(selector).first
        image.scroll_into_view_if_needed()
        self.page.wait_for_function("image => image.complete && image.naturalWidth", arg=image.element_handle())
        return image

    def overflow(self) -> float:
        """How many pixels the page, or something on it, reaches beyond the screen's right edge."""
        return self.page.evaluate(
            """() => {
                const shown = [...document.querySelectorAll("h1, h2, p, table, button, input, img")]
                const seen = shown.filter(e => e.checkVisibility() && !e.closest(".pane, .visually-hidden"))
                const edges = seen.map(e => e.getBoundingClientRect().right)
                return Math.max(document.documentElement.scrollWidth, ...edges) - window.innerWidth
            }"""
        )


@pytest.fixture
def visitor(browser: "sync_api.Browser", server: Server) -> Iterator[Visitor]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    visitor = Visitor(context.new_page(), server.url)
    yield visitor
    context.close()
    assert not visitor.problems
    assert "Traceback" not in server.log.read_text()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "My cat.png"
    Image.open(EXAMPLES / "cat_chelsea.png").crop((150, 80, 246, 144)).save(path)
    return path


def test_one_click_on_an_example_shows_the_winner_the_numbers_and_the_pictures(
    server: Server, visitor: Visitor
) -> None:
    visitor.click_example(0)
    headline = visitor.verdict(" wins ")

    truth = read_truth(BUNDLED / "bird.jpg")
    dogs = server.models["dogs"].at(app.DETAIL)
    methods = {"Bicubic": bicubic, "Mixed": server.models["mixed"].at(app.DETAIL), "Dogs": dogs}
    scores = {name: measure(method, truth) for name, method in methods.items()}
    difference = scores["Dogs"]["psnr_y"] - scores["Mixed"]["psnr_y"]
    winner = "Dogs" if difference > 0 else "Mixed"
    assert headline == f"The {winner} model wins by {abs(difference):.2f} dB"
    *rows, last = visitor.table()
    assert rows == [
        [name, *(METRICS[metric].spell(value) for metric, value in score.items())] for name, score in scores.items()
    ]
    assert last[:2] == ["Dogs minus mixed", f"{difference:+.2f}"]

    small = shrink(truth, 4)
    shown = visitor.pictures("bicubic", "dogs")
    for picture, method in zip(shown, (bicubic, dogs), strict=True):
        assert np.array_equal(picture, np.asarray(method(small)))
    assert visitor.tab.locator("img[src*='bird.jpg']").first.is_visible()
    outside = [url for url in visitor.requests if not url.startswith((server.url, "data:", "blob:"))]
    assert not outside


def test_any_picture_can_be_wiped_over_bicubic_by_its_button_or_its_key(
    server: Server, visitor: Visitor, photo: Path
) -> None:
    visitor.upload(photo)
    visitor.verdict(" wins ")
    visitor.tab.locator(".choices").get_by_role("button", name="Mixed", exact=True).click()
    panes = visitor.tab.locator(".pane")
    assert panes.all_inner_texts() == ["Bicubic", "Mixed"]
    visitor.tab.locator(".views").press("1")
    assert panes.all_inner_texts() == ["Bicubic", "Original"]
    original, mixed = visitor.pictures("original", "mixed")
    truth = read_truth(photo)
    assert np.array_equal(original, np.asarray(truth))
    assert np.array_equal(mixed, np.asarray(server.models["mixed"].at(app.DETAIL)(shrink(truth, 4))))


def test_the_page_opens_on_a_finished_comparison_that_can_be_zoomed_and_moved(visitor: Visitor) -> None:
    views, place = visitor.tab.locator(".views"), "image => image.style.transform"
    image = visitor.loaded(".views .pane img")
    assert visitor.tab.locator(".pane").all_inner_texts() == ["Bicubic", "Dogs"]
    scale = visitor.tab.locator(".bar output")
    before = int(scale.inner_text().removesuffix(" %"))
    assert before % 100 == 0, "at first a pixel of the picture is one of the screen, or several"
    visitor.tab.get_by_role("button", name="100 %").click()
    assert scale.inner_text() == "100 %"
    views.press("+")
    views.press("+")
    assert scale.inner_text() == "225 %"
    moved = image.evaluate(place)
    views.press("ArrowRight")
    assert image.evaluate(place) != moved
    box = views.bounding_box()
    assert box
    visitor.page.mouse.move(box["x"] + 100, box["y"] + 100)
    moved = image.evaluate(place)
    visitor.page.mouse.down()
    visitor.page.mouse.move(box["x"] + 60, box["y"] + 80)
    visitor.page.mouse.up()
    assert image.evaluate(place) != moved
    assert visitor.tab.locator(".overview").is_visible()
    visitor.tab.get_by_role("button", name="Whole").click()
    assert visitor.tab.locator(".overview").is_hidden()


def test_the_dial_changes_the_result_and_the_map_shows_who_is_closer(
    server: Server, visitor: Visitor, photo: Path
) -> None:
    visitor.upload(photo)
    visitor.verdict(" wins ")
    first = visitor.table()
    visitor.tab.get_by_label("number input for Detail").fill("1")
    visitor.tab.get_by_role("button", name="Compare").click()
    truth = read_truth(photo)
    mixed, dogs = (server.models[name].at(1)(shrink(truth, 4)) for name in ("mixed", "dogs"))
    expected = METRICS["psnr_y"].spell(compare(dogs, truth)["psnr_y"])
    assert expected != first[2][1]
    visitor.tab.get_by_role("cell", name=expected, exact=True).wait_for()
    assert visitor.table()[2][1] == expected
    assert np.array_equal(visitor.pictures("map")[0], np.asarray(draw_winner(mixed, dogs, truth)))


def test_the_error_of_two_ways_side_by_side_with_its_scale(server: Server, visitor: Visitor, photo: Path) -> None:
    visitor.upload(photo)
    visitor.verdict(" wins ")
    scale = visitor.tab.locator(".scale")
    assert "rgb(252, 255, 164)" in scale.evaluate("element => getComputedStyle(element).backgroundImage")
    assert visitor.tab.get_by_text("off by 32 of 255 levels or more").is_visible()
    truth = read_truth(photo)
    results = [method(shrink(truth, 4)) for method in (bicubic, server.models["dogs"].at(app.DETAIL))]
    for shown, result in zip(visitor.pictures("error_bicubic", "error_dogs"), results, strict=True):
        assert np.array_equal(shown, np.asarray(draw_error(result, truth)))


def test_an_upload_is_upscaled_and_its_download_is_exact(
    server: Server, visitor: Visitor, photo: Path, tmp_path: Path
) -> None:
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.upload(photo)
    visitor.verdict("The two results")
    assert [row[0] for row in visitor.table()] == ["Bicubic", "Mixed", "Dogs"]
    for name in ("mixed", "dogs"):
        with visitor.page.expect_download() as download:
            visitor.tab.get_by_role("link", name=f"Save {name}").or_(
                visitor.tab.get_by_role("button", name=f"Save {name}")
            ).first.click()
        assert download.value.suggested_filename == f"My cat-{name}-x4-detail0.75.png"
        download.value.save_as(tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as image:
            assert np.array_equal(np.asarray(image), np.asarray(server.models[name].at(app.DETAIL)(read_image(photo))))


def test_a_blind_test_says_at_its_end_alone_which_was_which(visitor: Visitor, photo: Path, tmp_path: Path) -> None:
    visitor.upload(photo)
    visitor.verdict(" wins ")
    visitor.page.get_by_role("tab", name="Blind test").click()
    visitor.tab.get_by_role("button", name="Begin with the photo I compared").click()
    visitor.tab.get_by_text("Round 1 of 1").wait_for()
    visitor.tab.get_by_role("button", name="Begin with the examples").click()
    images = visitor.tab.locator(".three img")
    shown = []
    for turn in range(12):
        visitor.tab.get_by_text(f"Round {turn + 1} of 12").wait_for()
        assert visitor.tab.locator(".blind .question").evaluate("asked => asked.clientWidth") > 400, "on one line"
        sources = [str(image.evaluate("image => image.src")) for image in images.all()]
        assert all(re.fullmatch(r"[0-9a-f]{16}\.png", Path(source).name) for source in sources)
        shown.append([visitor.fetch(source) for source in sources])
        if turn % 2:
            visitor.tab.locator("[data-choice='1']").click()
        else:
            visitor.page.keyboard.press("1")
    headline = visitor.verdict("You preferred ")
    visitor.page.locator(".spoken").filter(has_text=headline).wait_for(state="attached")
    assert visitor.page.evaluate("document.activeElement.className") == "blind"
    with visitor.page.expect_download() as download:
        visitor.tab.get_by_text("Save my answers").click()
    download.value.save_as(tmp_path / "answers.csv")
    rows = list(csv.DictReader((tmp_path / "answers.csv").open()))
    assert [row["chosen"] for row in rows] == [row[("first", "second")[turn % 2]] for turn, row in enumerate(rows)]
    for row, (left, truth, right) in zip(rows, shown, strict=True):
        for model, picture in ((row["first"], left), (row["second"], right)):
            scores = compare(Image.fromarray(picture), Image.fromarray(truth))
            assert float(row[f"{model}_psnr_y"]) == pytest.approx(scores["psnr_y"])
            assert float(row[f"{model}_lpips"]) == pytest.approx(scores["lpips"], abs=1e-6)
    most = max(sum(row["chosen"] == model for row in rows) for model in ("mixed", "dogs"))
    assert str(most) in headline or most == 6
    assert visitor.tab.locator(".told li").count() == 12
    assert visitor.tab.locator(".told .chosen").count() == 12


@pytest.mark.parametrize("title", ["Compare", "Upscale"])
def test_what_is_guessed_is_shown_once_it_is_asked_for(
    server: Server, visitor: Visitor, photo: Path, title: str
) -> None:
    visitor.page.get_by_role("tab", name=title).click()
    visitor.upload(photo)
    ask = visitor.tab.get_by_role("button", name="Show what is guessed")
    ask.wait_for()
    assert "Doubt" not in visitor.tab.locator(".choices button").all_inner_texts()
    ask.click()
    visitor.tab.get_by_text("What is bright is most likely invented").wait_for()
    visitor.tab.locator(".pane img[src$='-doubt.png']").wait_for()
    assert visitor.tab.locator(".pane").all_inner_texts() == ["Bicubic", "Doubt"]
    small = read_image(photo) if title == "Upscale" else shrink(read_truth(photo), 4)
    results = [server.models[name].at(detail)(small) for name in ("mixed", "dogs") for detail in (0, 1)]
    expected = np.asarray(draw_doubt([*map(np.asarray, results)]))
    assert np.array_equal(visitor.pictures("doubt")[0], expected)
    table = visitor.tab.locator(".prose.figures")
    for detail in ("1", "0.75"):  # the second is answered from what was kept before there was a doubt
        visitor.tab.get_by_label("number input for Detail").fill(detail)
        visitor.tab.get_by_role("button", name=title, exact=True).click()
        table.filter(has_text=f"With detail at {detail}:").wait_for()
        assert "Doubt" in visitor.tab.locator(".choices button").all_inner_texts()
        assert np.array_equal(visitor.pictures("doubt")[0], expected)
        assert visitor.tab.get_by_text("What is bright is most likely invented").is_visible()
    if title == "Compare":  # shrunk otherwise it is another small photo
        visitor.tab.get_by_label("With blur and noise").check()
        visitor.tab.get_by_text("What is bright is most likely invented").wait_for(state="hidden")
        visitor.tab.locator(".choices button").filter(has_text="Doubt").wait_for(state="detached")


def test_a_card_a_film_and_a_page_are_taken_away(visitor: Visitor, photo: Path, tmp_path: Path) -> None:
    visitor.upload(photo)
    headline = visitor.verdict(" wins ")
    visitor.table()
    for kind, name in (("card", "card.png"), ("wipe", "wipe.webp"), ("page", "comparison.html")):
        with visitor.page.expect_download() as download:
            visitor.tab.get_by_role("button", name=f"Save {kind}", exact=True).click()
        assert download.value.suggested_filename == f"My cat-{name}"
        download.value.save_as(tmp_path / name)
    with Image.open(tmp_path / "card.png") as card, Image.open(tmp_path / "wipe.webp") as wipe:
        assert (card.width, wipe.n_frames, wipe.size) == (1200, 36, (96, 64))
    page = visitor.page.context.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: visitor.problems.append(str(error)))
    page.goto((tmp_path / "comparison.html").as_uri())
    assert page.locator("h1").inner_text() == headline
    assert page.locator(".pane").all_inner_texts() == ["Bicubic", "Dogs"]
    page.locator(".views").press("1")
    assert page.locator(".pane").all_inner_texts() == ["Bicubic", "Original"]
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("title", ["Compare", "Upscale", "Batch"])
def test_what_is_not_even_taken_in_is_told_by_the_photo_until_another_is_chosen(
    visitor: Visitor, photo: Path, tmp_path: Path, title: str
) -> None:
    visitor.page.get_by_role("tab", name=title).click()
    (tmp_path / "large.png").write_bytes(bytes(app.MAX_MEGABYTES * 1024**2 + 1))
    (tmp_path / "notes.txt").write_text("no photo")
    refusal = visitor.tab.locator(".drop + .refusal")
    for name in ("large.png", *["notes.txt"] * (title != "Batch")):  # which leaves such out, by name
        visitor.upload(tmp_path / name)
        refusal.filter(has_text=name).wait_for()
        visitor.page.locator(".toast-body").wait_for(state="detached")
    assert refusal.get_attribute("role") == "alert"
    visitor.upload(photo)
    refusal.wait_for(state="detached")


def test_a_bad_file_and_no_file_get_a_message_and_the_page_goes_on(
    visitor: Visitor, photo: Path, tmp_path: Path
) -> None:
    visitor.tab.get_by_role("button", name="Compare", exact=True).click()
    visitor.tab.get_by_text("Choose a photo first").wait_for()

    (tmp_path / "text.jpg").write_text("This is not a photo.")
    visitor.upload(tmp_path / "text.jpg")
    visitor.tab.get_by_text("text.jpg: not an image that can be read").wait_for()
    visitor.verdict("No result")
    assert not visitor.page.get_by_test_id("toast-body").count()
    assert not visitor.tab.locator("table").is_visible()

    visitor.click_example(0)
    visitor.verdict(" wins ")
    assert len(visitor.table()) == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_a_comparison_first_and_needs_no_sideways_scrolling(
    browser: "sync_api.Browser", server: Server, photo: Path, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    visitor = Visitor(context.new_page(), server.url)
    assert visitor.overflow() <= 0
    opening, drop = visitor.tab.locator(".views"), visitor.tab.locator(".drop")
    first = opening.bounding_box()
    assert first
    assert first["y"] + first["height"] / 2 < 844, "half of the comparison is seen before anyone scrolls"
    visitor.upload(photo)
    visitor.verdict(" wins ")
    visitor.pictures("bicubic", "dogs")
    assert visitor.overflow() <= 0
    above, below = drop.bounding_box(), opening.bounding_box()
    assert above
    assert below
    assert above["y"] < below["y"], "a result comes after the photo that it is of"
    lines = """cell => {
        const range = document.createRange()
        range.selectNodeContents(cell)
        return new Set([...range.getClientRects()].map(rectangle => rectangle.top)).size
    }"""
    assert [
        visitor.tab.get_by_role("cell", name=name, exact=True).evaluate(lines) for name in ("Bicubic", "Mixed")
    ] == [1, 1]
    background = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(",")[:3])) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60
    visitor.page.get_by_role("tab", name="Upscale").click()
    assert visitor.overflow() <= 0
    context.close()


def test_by_keyboard_alone_an_example_is_compared_and_its_error_shown(visitor: Visitor) -> None:
    def tab_to(selector: str) -> None:
        for _ in range(80):
            visitor.page.keyboard.press("Tab")
            if visitor.page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"the Tab key does not lead to {selector}")

    tab_to("button.gallery-item")  # past the dial, which must not mind that there is no photo
    visitor.page.keyboard.press("Enter")
    visitor.verdict(" wins ")
    assert not visitor.page.get_by_test_id("toast-body").count()
    tab_to(".views")
    visitor.page.keyboard.press("6")
    visitor.tab.locator(".pane:not(.pending) img[src$='-error_bicubic.png']").wait_for()


def fill(visitor: Visitor, tab: str, photo: Path) -> None:
    """Go to a tab and have it show all that it can."""
    visitor.page.get_by_role("tab", name=tab).click()
    if tab == "Blind test":
        visitor.tab.get_by_role("button", name="Begin with the examples").click()
        visitor.tab.get_by_text("Round 1 of").wait_for()
    elif tab != "Study":
        visitor.upload(photo)
        if tab == "Batch":
            visitor.tab.get_by_role("button", name="Compare all").click()
        visitor.tab.locator("table").first.wait_for()
        if tab == "Batch":  # whose pictures and chart come after its tables
            visitor.tab.get_by_role("img", name="01-My cat").last.wait_for()
            visitor.tab.get_by_role("img", name="Chart", exact=True).wait_for(state="detached")
    for closed in visitor.page.get_by_role("button", name=re.compile("^(All figures|About)")).all():
        closed.click()
    for closed in visitor.tab.locator("summary").all():
        closed.click()


@pytest.mark.parametrize("tab", TABS)
def test_axe_finds_nothing_serious_light_or_dark_on_any_screen(visitor: Visitor, photo: Path, tab: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    fill(visitor, tab, photo)

    def serious() -> set[tuple[str, str]]:
        rules = axe.run(visitor.page).response["violations"]
        found = [rule for rule in rules if rule["impact"] in ("serious", "critical")]
        return {(rule["id"], node["html"]) for rule in found for node in rule["nodes"]}

    for width in (1280, 768, 390):
        visitor.page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            visitor.page.emulate_media(color_scheme=scheme)
            for _ in range(5):  # colours fade, and what has become too wide is made so that it can be scrolled
                visitor.page.wait_for_timeout(400)
                if not (found := serious()):
                    break
            assert not found, (width, scheme)


@pytest.mark.parametrize("tab", TABS)
def test_the_tab_key_leads_to_every_control_and_shows_where_it_is(visitor: Visitor, photo: Path, tab: str) -> None:
    fill(visitor, tab, photo)
    focused = """() => {
        const here = document.activeElement, style = getComputedStyle(here)
        if (here === document.body || here.hasAttribute("data-reached")) return null
        here.setAttribute("data-reached", "")
        return here.checkVisibility() && style.outlineStyle !== "none" ? parseFloat(style.outlineWidth) : 0
    }"""
    visitor.page.evaluate("document.activeElement.blur()")
    visitor.page.mouse.click(2, 2)
    widths = []
    while len(widths) < 200:
        visitor.page.keyboard.press("Tab")
        if (width := visitor.page.evaluate(focused)) is None:
            break
        widths.append(width)
    assert min(widths) >= 2
    controls = ":is(button:not([tabindex='-1']), a[href], input, [role=slider], summary)"
    controls += ":not(:disabled, [data-reached], [type=radio]:not(:checked))"
    assert not visitor.page.evaluate(
        """controls => [...document.querySelectorAll(controls)]
            .filter(e => e.checkVisibility({visibilityProperty: true})).map(e => e.outerHTML)""",
        controls,
    )


@pytest.mark.parametrize("leave", ["Tab", "Escape"])
def test_the_list_of_further_tabs_closes_when_it_is_left(visitor: Visitor, leave: str) -> None:
    visitor.page.set_viewport_size({"width": 390, "height": 900})
    visitor.tab.get_by_role("button", name="red panda").wait_for()  # by the script that also closes the list
    visitor.page.get_by_role("button", name="More tabs").press("Enter")
    listed = visitor.page.locator(".overflow-dropdown button")
    listed.last.press(leave)
    listed.last.wait_for(state="hidden")


def test_examples_have_names_and_fill_their_frames(visitor: Visitor) -> None:
    for width in (1280, 768, 390):
        visitor.page.set_viewport_size({"width": width, "height": 900})
        for name in ("bird", "cat", "dog", "fish", "lizard", "red panda"):
            frame = visitor.tab.get_by_role("button", name=name, exact=True)
            picture = visitor.loaded(f"img[alt='{name}']")
            assert picture.evaluate("image => getComputedStyle(image).objectFit") == "cover"
            outer, inner = frame.bounding_box(), picture.bounding_box()
            assert outer
            assert inner
            assert all(outer[side] - 3 <= inner[side] <= outer[side] for side in ("width", "height")), (name, width)


def test_while_the_dial_is_moved_what_is_seen_is_shown_anew_and_all_else_stays(
    server: Server, visitor: Visitor
) -> None:
    visitor.click_example(0)
    visitor.verdict(" wins ")
    table, stage = visitor.table(), visitor.tab.locator(".stage")
    visitor.tab.locator("[data-do=exact]").click()
    seen, zoom = stage.get_attribute("data-seen"), stage.locator("output").inner_text()
    dial = visitor.tab.get_by_role("slider", name="Detail")
    dial.evaluate("dial => { dial.value = 0; dial.dispatchEvent(new Event('input', {bubbles: true})) }")
    patch = stage.locator(".pane img.patch").last
    patch.wait_for()
    assert visitor.table() == table
    encoded = str(patch.get_attribute("src")).removeprefix("data:image/webp;base64,")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))), int)
    small = shrink(read_truth(BUNDLED / "bird.jpg"), 4)
    whole = server.models["dogs"].at(0)(small)
    box = seen_part(str(seen), whole.size, PEEKED)
    expected = np.asarray(whole.crop(box), int)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).mean() < 3  # but for the encoding
    place = patch.evaluate("image => [image.style.width, image.style.height]")
    assert place == [f"{box[2] - box[0]}px", f"{box[3] - box[1]}px"]

    dial.dispatch_event("pointerup")
    assert stage.is_visible()
    assert visitor.tab.locator("table").first.is_visible()
    visitor.verdict(" wins ")
    patch.wait_for(state="detached")
    assert stage.locator("output").inner_text() == zoom
    assert stage.get_attribute("data-seen") == seen
    assert np.array_equal(visitor.pictures("dogs")[0], np.asarray(whole))


def test_what_is_typed_beside_the_dial_does_no_harm_until_it_is_a_number(visitor: Visitor, photo: Path) -> None:
    visitor.upload(photo)
    headline, table = visitor.verdict(" wins "), visitor.table()
    field = visitor.tab.get_by_label("number input for Detail")
    for typed in ("", "5", "0.7"):
        field.fill(typed)
        visitor.page.wait_for_timeout(500)
        assert visitor.verdict(" wins ") == headline
        assert visitor.table() == table
        assert visitor.tab.locator(".stage").is_visible()


def test_the_stage_keeps_the_focus_of_who_uses_keys(visitor: Visitor) -> None:
    button = visitor.tab.locator(".choices button").last
    button.focus()
    visitor.page.keyboard.press("Enter")
    assert button.get_attribute("aria-pressed") == "true"
    assert button.evaluate("button => button === document.activeElement")
    handle = visitor.tab.locator(".handle")
    handle.focus()
    visitor.page.keyboard.press("2")
    visitor.page.keyboard.down(" ")
    assert visitor.tab.locator(".pane").last.evaluate("pane => pane.style.visibility") == "hidden"
    visitor.page.keyboard.up(" ")
    assert visitor.tab.locator(".pane").last.evaluate("pane => pane.style.visibility") == "visible"
    assert handle.evaluate("handle => handle === document.activeElement")


def test_how_a_job_ends_is_told_to_who_does_not_see_it(visitor: Visitor, photo: Path, tmp_path: Path) -> None:
    told = visitor.page.locator("[role=status].spoken")
    assert told.inner_text() == ""
    visitor.upload(photo)
    headline = visitor.verdict(" wins ")
    told.filter(has_text=headline).wait_for(state="attached")
    (tmp_path / "damaged.png").write_bytes(photo.read_bytes()[:300])
    visitor.tab.get_by_label("Remove").or_(visitor.tab.get_by_label("Clear")).first.click()
    visitor.upload(tmp_path / "damaged.png")
    told.filter(has_text="No result. damaged.png: ").wait_for(state="attached")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.png"
    Image.effect_noise((990, 990), 60).save(path)
    return path


def test_stop_ends_a_long_job_and_frees_the_models(visitor: Visitor, photo: Path, large: Path) -> None:
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.upload(large)
    visitor.tab.get_by_text("tiles, about").wait_for()
    visitor.tab.get_by_role("button", name="Stop").click()
    visitor.verdict("Stopped")
    visitor.page.get_by_role("tab", name="Compare").click()
    visitor.upload(photo)
    visitor.verdict(" wins ")


@pytest.mark.parametrize("stop", [False, True])
def test_another_photo_at_once_takes_the_place_of_the_one_being_worked_on(
    server: Server, visitor: Visitor, photo: Path, large: Path, stop: bool
) -> None:
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.upload(large)
    visitor.tab.get_by_text("tiles, about").wait_for()
    if stop:
        visitor.tab.get_by_role("button", name="Stop").click()
    visitor.tab.get_by_label("Remove Image").click()
    visitor.upload(photo)
    visitor.verdict("The two results")
    dogs = server.models["dogs"].at(app.DETAIL)(read_image(photo))
    assert np.array_equal(visitor.pictures("bicubic", "dogs")[1], np.asarray(dogs))


def test_stop_leaves_a_finished_result_alone(visitor: Visitor, photo: Path) -> None:
    visitor.upload(photo)
    headline = visitor.verdict(" wins ")
    visitor.table()
    with visitor.page.expect_response(lambda response: "/queue/join" in response.url or "/run/" in response.url):
        visitor.tab.get_by_role("button", name="Stop").click()
    visitor.page.wait_for_timeout(1000)
    assert visitor.verdict(" wins ") == headline
    assert visitor.tab.locator("table").first.is_visible()


def test_what_was_deleted_meanwhile_is_told_in_one_sentence(server: Server, visitor: Visitor, photo: Path) -> None:
    visitor.upload(photo)
    visitor.verdict(" wins ")
    visitor.table()
    for path in (server.folder / "served").rglob("My*cat*"):
        path.unlink()

    told = visitor.tab.locator(".verdict").get_by_text("are deleted after an hour; choose the photo again.")
    visitor.tab.get_by_role("button", name="Save card").click()
    visitor.verdict("No result")
    told.wait_for()
    visitor.tab.get_by_role("button", name="Compare").click()
    visitor.verdict("No result")
    told.wait_for()


def test_what_a_batch_has_finished_is_shown_at_once_and_stays_when_stopped(visitor: Visitor, tmp_path: Path) -> None:
    for name, side in (("small.png", 96), ("large.png", 1960)):
        Image.effect_noise((side, side), 60).save(tmp_path / name)
    visitor.page.get_by_role("tab", name="Batch").click()
    visitor.tab.locator("input[type=file]").first.set_input_files([tmp_path / "small.png", tmp_path / "large.png"])
    visitor.tab.get_by_role("button", name="Compare all").click()
    so_far = visitor.tab.get_by_role("img", name="01-small")
    visitor.tab.get_by_text("Photo 2 of 2").wait_for()
    so_far.first.wait_for()
    visitor.tab.get_by_role("button", name="Stop").click()
    visitor.tab.locator("h2").filter(has_text="Stopped").wait_for()
    assert so_far.first.is_visible()


def test_a_batch_is_told_in_words_and_taken_away_as_a_zip(server: Server, visitor: Visitor, tmp_path: Path) -> None:
    paths = []
    for index in range(6):
        paths.append(tmp_path / f"cat {index}.png")
        Image.open(EXAMPLES / "cat_chelsea.png").crop((20 * index, 80, 20 * index + 64, 128)).save(paths[-1])
    paths.append(tmp_path / "text.jpg")
    paths[-1].write_text("This is not a photo.")
    visitor.page.get_by_role("tab", name="Batch").click()
    visitor.tab.locator("input[type=file]").first.set_input_files(paths)
    visitor.tab.get_by_role("button", name="Compare all").click()
    visitor.tab.get_by_text("Dogs minus mixed over 6 photos").wait_for()
    assert visitor.tab.get_by_text("text.jpg: not an image that can be read").is_visible()
    visitor.tab.get_by_text("Dogs, so far").wait_for(state="hidden")

    with visitor.page.expect_download() as download:
        visitor.tab.get_by_text("Save all pictures").click()
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("scores.csv"))))
        truth = read_truth(paths[2])
        expected = server.models["dogs"].at(0)(shrink(truth, 4))
        assert np.array_equal(np.asarray(Image.open(archive.open("03-cat 2-dogs.png"))), np.asarray(expected))
        assert float(rows[2]["dogs_psnr_y"]) == pytest.approx(compare(expected, truth)["psnr_y"], abs=1e-6)
        assert len(rows) == 6
        assert len(archive.namelist()) == 6 * 2 + 2
