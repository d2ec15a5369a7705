"""The page in a real browser: one launch of Chromium, a desktop and a phone."""

import os
import re
import shutil
import time

import pytest

from pipelines.live.web import create_app, serve
from tests.pipelines.live.conftest import an_event
from tests.pipelines.live.fake_view import FakeView, a_picture
from tests.pipelines.live.web.conftest import TOKEN

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = sync_api.expect
expect.set_options(timeout=15_000)
CHROMIUM = os.environ.get("VAD_CHROMIUM") or "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORT = "addEventListener('securitypolicyviolation', (event) => console.error('CSP', event.violatedDirective))"
DESKTOP = {"viewport": {"width": 1440, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}
ODD_NAME = "<script>alert('1')</script>\""


@pytest.fixture(scope="module")
def browser():
    if not shutil.which(CHROMIUM):
        pytest.skip(f"Chromium is not at {CHROMIUM}; set VAD_CHROMIUM to its path")
    with sync_api.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def view():
    return FakeView("door", "yard", "gate")


@pytest.fixture
def site(view, store):
    """The address of the running page. What was captured in the store appears on it."""
    store.save(an_event(1, camera="door", start=time.time() - 60, end=time.time() - 50))
    store.save(an_event(2, camera="yard", level="notice", start=time.time() - 30, end=time.time() - 20))
    for number in (1, 2):
        path = store.snapshot_path(f"{number:032x}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(a_picture(number))
    server = serve(create_app(view, store), port=0)
    yield server.address
    server.stop()


@pytest.fixture
def open_page(browser, site):
    """Open a path as a desktop or a phone; fail on any console error, CSP violation or request to elsewhere."""
    wrong, contexts = [], []

    def open_page(path="/", device=DESKTOP):
        contexts.append(browser.new_context(**device))
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("request", lambda request: request.url.startswith((site, "blob:")) or wrong.append(request.url))
        page.add_init_script(REPORT)
        page.goto(site + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def fits(page):
    """Whether nothing is wider than the screen."""
    return page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def eventually(condition):
    """Wait until a condition holds. The page's own rules forbid Playwright's ``wait_for_function``."""
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_lost_camera_comes_first_and_says_why(open_page, view):
    view.add(ODD_NAME)
    page = open_page()
    expect(page.locator(".tile .picture.shown")).to_have_count(4)
    expect(page.locator(".tile .name")).to_have_text(["door", "yard", "gate", ODD_NAME])
    assert fits(page)
    view.change("gate", state="lost", reason="connection <b>refused</b>", since=time.time() - 90)
    page.locator(".tile[data-state=lost] .cover-word").wait_for()
    expect(page.locator(".tile .name").first).to_have_text("gate")
    text = page.locator(".tile").first.inner_text()
    assert "LOST" in text and "connection <b>refused</b>" in text and "1 min 30 s" in text
    expect(page.locator("#summary .pill.lost")).to_have_text("1 lost")
    assert page.title().startswith("(2) ⚠")
    box = page.locator(".tile .cover-word").bounding_box()
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    seen = "([x, y]) => document.elementFromPoint(x, y).closest('.cover-word') !== null"
    assert page.evaluate(seen, middle)  # nothing lies over the word
    assert "gate: Lost" in page.locator("#announcer").text_content()


def test_an_event_arrives_by_itself_and_is_reviewed(open_page, view, store):
    page = open_page()
    page.locator(".event").nth(1).wait_for()
    event = an_event(3, camera="gate", start=time.time(), score=0.87)
    store.save(event)
    view.send({"type": "event", "change": "new", "event": event.to_dict()})
    row = page.locator(f"[data-id='{event.event_id}']")
    row.wait_for()
    assert "still on · peak 0.87" in row.inner_text()
    assert page.locator(".event").first.get_attribute("data-id") == event.event_id
    page.locator(".tile[data-severity=alarm]").wait_for()
    row.get_by_label("Open Alarm of gate").focus()
    page.keyboard.press("Enter")
    page.locator("dialog[open]").wait_for()
    page.keyboard.press("f")
    expect(page.locator(".count")).to_have_text("2")
    assert store.get(event.event_id).verdict == "false_alarm"
    page.keyboard.press("t")  # the dialog has gone on to the next event
    expect(page.locator(".count")).to_have_text("1")
    assert store.get(f"{2:032x}").verdict == "true_alarm"
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="detached")
    page.get_by_label("False alarm: door").click()
    page.get_by_text("All events are reviewed.").wait_for()
    assert store.get(f"{1:032x}").verdict == "false_alarm"


def test_a_zone_is_drawn_by_mouse_and_one_by_keyboard(open_page, view):
    page = open_page("/cameras/door")
    page.locator(".frame .picture.shown").wait_for()
    page.locator("[data-do=draw]").click()
    layer = page.locator(".zone-layer")
    box = layer.bounding_box()
    for x, y in ((0.2, 0.2), (0.8, 0.2), (0.5, 0.8), (0.2, 0.2)):  # the first corner again closes it
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.get_by_role("button", name="Add zone").click()
    for keys in (["Enter"], ["Shift+ArrowRight"] * 2 + ["Enter"], ["Shift+ArrowDown"] * 3 + ["Enter"], ["f"]):
        for key in keys:
            page.keyboard.press(key)
    page.locator("[data-do=save]").click()
    page.get_by_text("The zones are saved").wait_for()
    drawn, typed = view.cameras["door"].zones
    assert len(drawn) == 3 and all(abs(a - b) < 0.01 for a, b in zip(drawn[2], (0.5, 0.8), strict=True))
    assert typed == ((0.5, 0.5), (0.6, 0.5), (0.6, 0.65))


def test_a_camera_is_paused_and_shows_where_the_score_comes_from(open_page, view):
    page = open_page("/cameras/yard")
    page.get_by_role("button", name="Heat map").click()
    opacity = "(canvas) => canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3]"
    eventually(lambda: page.locator("canvas.heat").evaluate(opacity) > 0)
    page.locator(".chart canvas").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Resume").wait_for()
    assert view.cameras["yard"].state == "paused"


def test_a_phone_shows_all_of_it(open_page, view, store):
    page = open_page(device=PHONE)
    expect(page.locator(".tile")).to_have_count(3)
    assert fits(page)
    page.locator("[data-nav=events]").tap()
    page.locator(".event").nth(1).wait_for()
    assert fits(page)
    page.locator(".event .verdict.true_alarm").first.tap()
    page.locator(".event[data-verdict=true_alarm]").wait_for()
    assert store.get(f"{2:032x}").verdict == "true_alarm"
    page.locator("[data-nav=cameras]").tap()
    page.locator(".tile").first.tap()
    page.locator("[data-do=draw]").tap()
    layer = page.locator(".zone-layer")
    layer.scroll_into_view_if_needed()
    box = layer.bounding_box()
    for x, y in ((0.2, 0.3), (0.8, 0.3), (0.5, 0.8)):
        page.touchscreen.tap(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.locator("[data-do=finish]").tap()
    page.locator("[data-do=save]").tap()
    page.get_by_text("The zones are saved").wait_for()
    assert len(view.cameras["door"].zones[0]) == 3 and fits(page)


def test_the_page_says_when_the_server_is_gone(browser, view, store):
    server = serve(create_app(view, store), port=0)
    page = browser.new_page()
    page.goto(server.address)
    page.locator(".tile").first.wait_for()
    server.stop()
    page.get_by_text("No connection to vad watch").wait_for(timeout=15_000)
    page.close()


def test_a_person_logs_in_and_out(browser, view, store):
    server = serve(create_app(view, store, TOKEN), port=0)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.address}/cameras/yard")
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("This is not the token.").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.locator("h1", has_text="yard").wait_for()
    assert page.evaluate("document.cookie") == "" and TOKEN not in page.url
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Token").wait_for()
    page.goto(f"{server.address}/events")
    expect(page).to_have_url(re.compile("/login"))
    context.close()
    server.stop()
