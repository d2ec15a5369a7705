"""Pages that are made when the site is built: settings, commands, API, notebooks, and files beside docs/."""

import functools
import posixpath
import re
import sys
from pathlib import Path

from mkdocs.structure.files import File

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from docs.site.notebooks import NOTEBOOKS, notebook_page  # noqa: E402
from docs.site.reference import API, api_page, commands_page, settings_page  # noqa: E402

# Pages of the site that are files of the repository.
BESIDE = {
    "paper_map.md": "vad_keras/PAPER.md",
    "savedmodels.md": "savedmodels/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "benchmarks/README.md": "benchmarks/README.md",
    "benchmarks/heads.md": "benchmarks/heads.md",
    "benchmarks/gpu.md": "benchmarks/gpu.md",
}
SOURCES = BESIDE | {f"notebooks/{path.stem}.md": f"notebooks/{path.name}" for path in NOTEBOOKS}
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)]*)?\)")
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)


@functools.cache
def made_pages():
    """Return the text of each page that is made: its path in the site and its Markdown."""
    pages = {"reference/settings.md": settings_page(), "reference/commands.md": commands_page()}
    for name in API:
        pages[f"reference/{name}.md"] = api_page(name)
    return pages


def on_files(files, config):
    """Add the pages that are made, those beside docs/ and the notebooks with their pictures."""
    for path, text in made_pages().items():
        files.append(File.generated(config, path, content=text))
    for path, source in BESIDE.items():
        files.append(File.generated(config, path, content=(REPOSITORY / source).read_text(encoding="utf-8")))
    for path in NOTEBOOKS:
        text, pictures = notebook_page(path)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, content in {path.name: path.read_bytes(), **pictures}.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    files.append(File.generated(config, "site.css", content=(Path(__file__).parent / "site.css").read_text()))
    return files


def on_config(config):
    """Leave out pages of the navigation that do not exist."""
    made = {*SOURCES, *made_pages()}

    def kept(entries):
        found = []
        for entry in entries:
            if isinstance(entry, dict):
                (title, inner), = entry.items()
                found.append({title: kept(inner)})
            elif entry in made or (REPOSITORY / "docs" / entry).exists():
                found.append(entry)
        return found

    config.nav = kept(config.nav)
    return config


def on_page_markdown(markdown, page, config, files):
    """Let links to files of the repository lead to their pages; a file without a page becomes its text."""
    own = page.file.src_uri
    source = SOURCES.get(own, f"docs/{own}")
    pages = {path: name for name, path in SOURCES.items()} | {"README.md": "index.md"}

    def linked(match):
        text, target, anchor = match[1], match[2], match[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        wanted = pages.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if wanted is None or files.get_file_from_path(wanted) is None:
            return text if own in SOURCES or path.startswith("..") or (REPOSITORY / path).exists() else match[0]
        return f"[{text}]({posixpath.relpath(wanted, posixpath.dirname(own) or '.')}{anchor})"

    parts = FENCE.split(markdown)
    return "".join(part if part.startswith("```") else LINK.sub(linked, part) for part in parts)
