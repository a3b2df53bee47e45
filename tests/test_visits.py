"""A visit to the page in a real browser: one photo for all tabs, addresses, and what a reload keeps."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import test_page
from app_server import Server
from PIL import Image
from test_page import WAIT, Visitor

if TYPE_CHECKING:
    from playwright import sync_api

browser, visitor = test_page.browser, test_page.visitor
photo, large = test_page.photo, test_page.large
pytestmark = test_page.pytestmark

GIVE = """([way, selector, name, content]) => {
    const given = new DataTransfer(), target = document.querySelector(selector)
    given.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt())], name, {type: "image/png"}))
    const options = {bubbles: true, cancelable: true, dataTransfer: given, clipboardData: given}
    const event = way === "paste" ? new ClipboardEvent(way, options) : new DragEvent(way, options)
    return !target.dispatchEvent(event)
}"""


def given(way: str, selector: str, path: Path) -> list[str]:
    """What `GIVE` takes."""
    return [way, selector, path.name, base64.b64encode(path.read_bytes()).decode()]


def give(visitor: Visitor, way: str, selector: str, path: Path) -> None:
    """Drop or paste a photo, once the page takes it."""
    visitor.page.wait_for_function(GIVE, arg=given(way, selector, path))


def shown(visitor: Visitor) -> str:
    """The file name of the tab's photo."""
    return str(visitor.loaded("img[alt='Your photo']").get_attribute("src")).rpartition("/")[2]


def test_one_photo_dropped_anywhere_serves_both_tabs_and_is_worked_on_once_in_each(
    visitor: Visitor, photo: Path
) -> None:
    give(visitor, "drop", "h1", photo)
    headline = visitor.verdict(" wins ")
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.verdict("The two results")
    assert shown(visitor) == "My%20cat.png"
    visitor.page.get_by_role("tab", name="Compare").click()
    visitor.page.wait_for_timeout(500)
    assert visitor.verdict(" wins ") == headline
    assert sum("/upload?" in url for url in visitor.requests) == 1


def test_a_photo_is_pasted_anywhere_but_into_a_field_and_from_a_tab_without_photos_it_goes_to_the_first(
    visitor: Visitor, photo: Path
) -> None:
    visitor.page.get_by_role("tab", name="Study").click()
    give(visitor, "paste", "body", photo)
    visitor.verdict(" wins ")
    assert visitor.page.url.endswith("#compare")
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.verdict("The two results")
    assert not visitor.page.evaluate(GIVE, given("paste", "[data-testid=textbox]", photo))


def test_each_tab_has_an_address_that_opens_it_and_back_and_forward_lead_there(
    server: Server, visitor: Visitor
) -> None:
    visitor.page.goto(f"{server.url}/#batch")
    visitor.page.reload()
    visitor.tab.get_by_role("button", name="Compare all").wait_for()
    visitor.page.get_by_role("tab", name="Study").click()
    visitor.page.wait_for_url("**/#study")
    visitor.page.go_back()
    visitor.tab.get_by_role("button", name="Compare all").wait_for()
    visitor.page.go_forward()
    visitor.tab.get_by_role("heading", name="The models of this page").wait_for()


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_reload_keeps_the_photo_and_the_result_while_there_are_the_files(
    server: Server, visitor: Visitor, photo: Path, is_deleted: bool
) -> None:
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.upload(photo)
    visitor.verdict("The two results")
    visitor.tab.get_by_label("number input for Detail").fill("0.5")
    visitor.tab.get_by_label("Part").fill("0, 0, 64, 48")
    visitor.tab.get_by_role("button", name="Upscale").click()
    visitor.tab.get_by_text("This is the part 0, 0, 64, 48").wait_for()
    if is_deleted:
        for path in (server.folder / "served").rglob("My cat.png"):
            path.unlink()
    visitor.page.reload()
    if is_deleted:
        visitor.verdict("Your result appears here")
        visitor.page.wait_for_timeout(500)
        assert visitor.tab.get_by_label("Remove Image").count() == 0
        return
    visitor.tab.get_by_text("This is the part 0, 0, 64, 48").wait_for(timeout=WAIT)
    assert visitor.tab.get_by_label("number input for Detail").input_value() == "0.5"
    assert visitor.tab.get_by_label("Part").input_value() == "0, 0, 64, 48"
    assert shown(visitor) == "My%20cat.png"


def test_what_is_typed_while_a_job_begins_stays_and_goes_with_the_next_photo(
    visitor: Visitor, photo: Path, tmp_path: Path
) -> None:
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.upload(photo)
    visitor.verdict("The two results")
    part = visitor.tab.get_by_label("Part")

    def type_meanwhile(request: "sync_api.Route") -> None:
        part.fill("0, 0, 64, 48")
        request.continue_()

    visitor.page.route("**/queue/join*", type_meanwhile, times=1)
    visitor.tab.get_by_role("button", name="Upscale").click()
    visitor.page.wait_for_timeout(1500)
    assert part.input_value() == "0, 0, 64, 48"
    Image.open(photo).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "other.png")
    visitor.upload(tmp_path / "other.png")
    visitor.page.wait_for_function("field => !field.value", arg=part.element_handle())
    visitor.verdict("The two results")


def test_who_waits_sees_the_place_in_the_queue_and_a_removed_photo_stops_its_job(
    server: Server, visitor: Visitor, photo: Path, large: Path
) -> None:
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.upload(large)
    visitor.tab.get_by_text("tiles, about").wait_for()
    other = Visitor(visitor.page.context.browser.new_page(), server.url)
    other.upload(photo)
    other.tab.get_by_text("queue: 1/1").first.wait_for()
    visitor.tab.get_by_label("Remove Image").click()
    visitor.verdict("Stopped")
    other.verdict(" wins ")


def test_the_batch_says_what_it_takes_and_tries_the_animals_of_the_page(visitor: Visitor) -> None:
    visitor.page.get_by_role("tab", name="Batch").click()
    visitor.tab.get_by_text("Drop 6 to 50 of them").wait_for()
    visitor.tab.get_by_role("button").filter(has_text="animals of this page").click()
    visitor.tab.locator("tr.file").nth(4).wait_for()


def test_the_page_has_an_icon_and_a_description_and_its_endpoints_answers_have_names(
    server: Server, visitor: Visitor
) -> None:
    assert "<svg" in httpx.get(f"{server.url}/favicon.ico").text
    assert "animals" in visitor.page.locator("meta[name=description]").first.get_attribute("content")
    endpoints = httpx.get(f"{server.url}/gradio_api/info").json()["named_endpoints"]
    names = [answer["label"] for endpoint in endpoints.values() for answer in endpoint["returns"]]
    assert {"Figures", "Verdict", "Tables", "Save dogs"} <= set(names)
    assert not [name for name in names if name.startswith("value_")]


# In the page, as what they wait for may be over before a test has asked.
STOP_AT = """(tab, words) => new Promise(done => {
    const stop = [...tab.querySelectorAll("button")].find(button => button.textContent.trim() === "Stop");
    const look = () => {
        if (!new RegExp(words).test(tab.innerText)) return;
        observer.disconnect();
        stop.click();
        done();
    };
    const observer = new MutationObserver(look);
    observer.observe(tab, {subtree: true, childList: true, characterData: true});
    look();
})"""
WATCH = """button => void (window.disabled = new Promise(done => {
    const observer = new MutationObserver(() => button.disabled && done());
    observer.observe(button, {attributes: true});
}).then(() => true))"""


def test_each_result_is_saved_once_it_is_ready_and_stays_when_the_next_is_stopped(
    visitor: Visitor, large: Path, tmp_path: Path
) -> None:
    visitor.page.get_by_role("tab", name="Upscale").click()
    visitor.upload(large)
    visitor.tab.evaluate(STOP_AT, r"Dogs: \w+ (of|tile)")
    visitor.verdict("Stopped")
    visitor.tab.locator(".choices button").nth(2).wait_for(state="detached")
    assert visitor.tab.locator(".choices button").all_inner_texts() == ["Bicubic", "Mixed"]
    button = visitor.tab.get_by_role("button", name="Save mixed")
    button.evaluate(WATCH)
    visitor.tab.get_by_label("JPEG").click()
    visitor.page.evaluate("disabled")
    with visitor.page.expect_download() as download:
        button.click()
    assert download.value.suggested_filename == "large-mixed-x4-detail0.75.jpg"
    download.value.save_as(tmp_path / "saved")
    with Image.open(tmp_path / "saved") as image:
        assert image.format == "JPEG"
        assert min(image.size) > 100
