"""The documentation site: it builds without a warning, its references are complete, and it needs no network."""

import base64
import html
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from docs.site.reference import API, commands_page, public_names, settings_page, walk
from pipelines.cli.app import app
from pipelines.config import all_settings

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning, such as a broken link, fails the build."""
    pytest.importorskip("mkdocs", reason="MkDocs is not installed: pip install 'vad-keras[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-f", "docs/site/mkdocs.yml", "-d", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def text_of(page):
    return html.unescape(re.sub("<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_setting_command_and_public_name_has_its_entry(site):
    import typer

    settings, commands = text_of(site / "reference/settings.html"), text_of(site / "reference/commands.html")
    assert not [key for key in all_settings() if key not in settings]
    names = [path for path, _ in walk(typer.main.get_command(app))]
    assert len(names) > 15 and not [name for name in names if name not in commands]
    for part in API:
        page = (site / f"reference/{part}.html").read_text(encoding="utf-8")
        assert not [name for name, path in public_names(part)[1].items() if f'id="{path}"' not in page], part
        functions = [name for name in public_names(part)[1] if name.islower()]
        assert not [name for name in functions if f"{name}(" not in html.unescape(re.sub("<[^>]+>", "", page))], part


def test_the_call_arguments_of_a_layer_are_a_list(site):
    page = text_of(site / "reference/layers.html")
    assert "Call arguments" in page and re.search(r"mask\s+–\s+bool \(B, T\), True for real frames", page)


def test_no_page_loads_anything_from_elsewhere(site):
    loaded = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//""")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20 and not [page.name for page in pages if loaded.search(page.read_text(encoding="utf-8"))]
    assert not [path for path in site.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", path.read_text())]


def test_links_to_files_of_the_repository_lead_to_their_pages(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="paper_map.html"' in index and 'href="savedmodels.html"' in index
    assert 'href="../add_your_own_dataset.html' not in index and (site / "contributing.html").is_file()


def test_every_notebook_is_a_page_of_the_site(site):
    paths = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
    assert len(paths) == 6
    for path in paths:
        page = site / "notebooks" / f"{path.stem}.html"
        title = nbformat.read(path, as_version=4).cells[0].source.partition("\n")[0].removeprefix("# ").replace("`", "")
        assert title in text_of(page) and (site / "notebooks" / path.name).read_bytes() == path.read_bytes()
    assert 'href="02_clique_attention.html"' in (site / "notebooks" / "01_data.html").read_text(encoding="utf-8")
    assert 'href="notebooks/01_data.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_a_notebook_that_was_run_is_published_with_its_outputs(tmp_path):
    pytest.importorskip("nbconvert", reason="nbconvert is not installed: pip install 'vad-keras[docs]'")
    from docs.site.notebooks import notebook_page

    make, path = nbformat.v4, tmp_path / "01.ipynb"
    cells = [make.new_markdown_cell("# Title\n\nText."), make.new_code_cell("draw()")]
    nbformat.write(make.new_notebook(cells=cells), path)
    stripped, pictures = notebook_page(path, tmp_path / "executed")
    assert stripped.startswith("# Title\n") and "was built without the outputs" in stripped and not pictures
    pixels = base64.b64encode(b"picture").decode()
    cells[1].outputs = [
        make.new_output("stream", name="stderr", text="a warning"),
        make.new_output("stream", name="stdout", text="a number"),
        make.new_output("display_data", data={"image/png": pixels, "text/plain": "a figure"}),
    ]
    cells[1].execution_count = 1
    (tmp_path / "executed").mkdir()
    nbformat.write(make.new_notebook(cells=cells), tmp_path / "executed" / "01.ipynb")
    text, pictures = notebook_page(path, tmp_path / "executed")
    ((name, content),) = pictures.items()
    assert content == b"picture" and f"({name})" in text and "a number" in text
    assert "warning" not in text and "was built without" not in text
    cells[1].source, cells[1].outputs = "draw_something_else()", []
    nbformat.write(make.new_notebook(cells=cells), path)
    assert "a number" not in notebook_page(path, tmp_path / "executed")[0]


def test_the_references_come_from_the_code():
    setting = all_settings()["detector.key_dim"]
    assert f"| `detector.key_dim` | `{setting.default}` | {setting.help}" in settings_page()
    assert "## vad config init" in commands_page() and "`--annotate`" in commands_page()
