"""Tests of pipelines.report.html.page."""

import re

import pytest
from jinja2 import UndefinedError
from PIL import Image

from pipelines.report.html.page import figure_uri, is_own_page, jpeg_uri, render

TEXT = """</style><script>alert(1)</script>"'`<b>"""


def page(**values):
    sections = [{"title": TEXT, "parts": [("text", TEXT), ("list", [TEXT]), ("figure", {"uri": "", "text": TEXT})]}]
    return render("evaluation.html", **{"title": TEXT, "sections": sections, **values})


def test_every_value_is_escaped():
    html = page()
    assert html.count("<script>") == html.count("</style>") == html.count("</script>") == 1 and "<b>" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 7


def test_nothing_is_loaded_from_elsewhere_and_nothing_but_our_script_may_run():
    html = page()
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", html) and "url(" not in html
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    assert "connect-src" not in policy and "script-src 'sha256-" in policy


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError, match="'sections' is undefined"):
        render("evaluation.html", title="x")


def test_a_page_of_ours_is_known(tmp_path):
    (tmp_path / "own.html").write_text(page())
    (tmp_path / "other.html").write_text("<html>")
    (tmp_path / "binary.html").write_bytes(b"\xff\xfe\xfa")
    assert [is_own_page(tmp_path / name) for name in ("own.html", "other.html", "binary.html", "none.html")] == [
        True, False, False, False,
    ]  # fmt: skip


def test_pictures_are_in_the_page(tmp_path):
    picture = Image.new("RGBA", (40, 30), (255, 0, 0, 255))
    picture.save(tmp_path / "a.png")
    assert jpeg_uri(picture, 60).startswith("data:image/jpeg;base64,/9j/")
    assert figure_uri(tmp_path / "a.png").startswith("data:image/webp;base64,UklGR")
