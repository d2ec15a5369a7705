"""Tests of pipelines.report.html.score_page."""

import csv
import json

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.report.html import score_page
from pipelines.report.html.score_page import curve, refuse_other_files, write_score_report
from tests.pipelines.report.html.conftest import STRANGE, THUMBNAILS, write_result


@pytest.fixture
def tab(browser, scored):
    """The page in a browser, and what happened: dialogs, errors, requests."""
    tab, happened = browser.new_page(viewport={"width": 1100, "height": 900}), []
    tab.on("dialog", lambda dialog: (happened.append(dialog.message), dialog.dismiss()))
    tab.on("pageerror", lambda error: happened.append(str(error)))
    tab.on("console", lambda message: happened.append(message.text) if message.type == "error" else None)
    local = ("file:", "data:")
    tab.on("request", lambda request: None if request.url.startswith(local) else happened.append(request.url))
    tab.goto(scored.page.as_uri())
    yield tab, happened
    tab.close()


def test_strange_names_are_shown_as_text_and_do_nothing(tab, scored):
    page, happened = tab
    shown = page.locator("h3").all_inner_texts()
    assert sorted(shown) == sorted(scored.results) and STRANGE in shown
    page.mouse.move(300, 300)
    for card in page.locator("article").all():
        card.hover()
    assert page.locator("img[src=x]").count() == 0 and page.locator("[onmouseover]").count() == 0
    links = page.evaluate("[...document.querySelectorAll('[data-src]')].map((card) => card.dataset.src)")
    assert all(link.startswith(("./", "../")) for link in links)
    assert f"{STRANGE}.avi" in page.locator(".skipped").inner_text()
    assert happened == []


def test_a_click_and_a_key_play_the_video_at_that_second(tab, scored):
    page, happened = tab
    for card in page.locator("article").all():  # every name leads to its file
        card.locator(".seek").first.click()
        video = card.locator("video")
        wanted = float(card.locator(".seek").first.get_attribute("data-seconds"))
        page.wait_for_function("(video) => video.readyState > 1 && !video.seeking", arg=video.element_handle())
        assert wanted <= video.evaluate("(video) => video.currentTime") < wanted + 3
        video.evaluate("(video) => video.pause()")
    card = page.locator("article").first
    timeline = card.locator(".timeline")
    box = timeline.bounding_box()
    timeline.click(position={"x": box["width"] / 2, "y": 20})
    assert abs(card.locator("video").evaluate("(video) => video.currentTime") - 4.0) < 1
    card.locator("video").evaluate("(video) => video.pause()")
    timeline.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert 0.9 < float(timeline.get_attribute("aria-valuenow")) < 3
    assert happened == []


def test_a_video_that_was_moved_beside_the_page_is_found_and_a_lost_one_is_named(tab, scored):
    page, _ = tab
    card = page.locator("article").first
    card.evaluate("(card) => { card.dataset.src = '../nowhere.webm'; card.dataset.beside = '../nowhere_else.webm'; }")
    card.locator(".seek").first.click()
    card.locator(".player .warning").wait_for()
    assert "is not where it was" in card.locator(".player").inner_text()
    other = page.locator("article").nth(1)
    other.evaluate("(card) => { card.dataset.beside = card.dataset.src; card.dataset.src = '../nowhere.webm'; }")
    other.locator(".seek").first.click()
    page.wait_for_function("(video) => video.readyState > 0", arg=other.locator("video").element_handle())


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (360, "dark")])
def test_the_page_fits_a_phone_and_its_texts_are_legible(browser, scored, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 740}, color_scheme=scheme)
    page.goto(scored.page.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) >= 4.5
    page.close()


CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => 0.2126 * channel(rgb[0]) + 0.7152 * channel(rgb[1]) + 0.0722 * channel(rgb[2]);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("h1, h2, h3, p, a, td, th, li, span")].filter((e) => e.innerText?.trim());
  return Math.min(...texts.map((e) => {
    const pair = [light(parse(getComputedStyle(e).color)), light(ground(e))].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  }));
}"""


def test_the_highest_score_comes_first_and_the_lists_hold_every_alarm(scored):
    page = scored.page.read_text()
    ordered = sorted(scored.results, key=lambda name: -scored.results[name]["max_score"])
    places = [page.index(f'id="v{number}"') for number in range(1, len(ordered) + 1)]
    assert places == sorted(places) and len(ordered) == 4
    rows = list(csv.DictReader((scored.output / "alarms.csv").open(encoding="utf-8")))
    stored = json.loads((scored.output / "alarms.json").read_text())["alarms"]
    expected = [scored.results[name]["video"] for name in ordered for _ in scored.results[name]["alarms"]]
    assert [row["video"] for row in rows] == [row["video"] for row in stored] == expected
    assert float(rows[0]["start_sec"]) == stored[0]["start_sec"]


def test_a_curve_keeps_every_peak_and_the_times_of_a_variable_rate():
    times_sec, scores = np.r_[np.arange(0, 10, 0.001), 15.0], np.zeros(10001)
    scores[[5000, 10000]] = 1, 0.5
    path = curve(times_sec, scores, 20.0, steps=200)
    assert path.startswith("M0 100") and "H250V0H255V100H750V50H1000" in path


def test_the_size_of_a_page_of_hundreds_of_videos_is_bounded(tmp_path, monkeypatch):
    first = write_result(tmp_path, "/videos/a.mp4", "a", threshold=0.1, num_frames=200)
    alarm = {"start_frame": 0, "end_frame": 1, "start_sec": 0.0, "end_sec": 0.1, "max_score": 0.9}
    results = [("a", first | {"alarms": 10 * [alarm]})] * 600
    page = write_score_report(tmp_path, results, [("x", "y")] * 900, "Model.", THUMBNAILS).read_text()
    assert len(page) < 6e6 and page.count("<article") == score_page.MAX_VIDEOS
    assert "100 more with lower scores are not shown" in page and "5000 more are not shown" in page
    assert len((tmp_path / "alarms.csv").read_text().splitlines()) == 6001
    monkeypatch.setattr(score_page, "THUMBNAIL_BYTES", 1)
    page = write_score_report(tmp_path, results[:3], [], "Model.", THUMBNAILS).read_text()
    assert page.count("data:image/jpeg") == 6  # of the first video only


@pytest.mark.parametrize("name", ["report.html", "alarms.csv", "alarms.json"])
def test_files_of_others_are_refused(tmp_path, name):
    write_score_report(tmp_path, [], [], "Model.", THUMBNAILS)
    refuse_other_files(tmp_path)
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=f"{name} exists and was not written by `vad score`"):
        refuse_other_files(tmp_path)
