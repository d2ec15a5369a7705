"""Self-contained HTML pages: style, script and pictures are in the file, and nothing else may run or load."""

import base64
import hashlib
import io
import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from PIL import Image

FOLDER = Path(__file__).parent
MARK = "vad_keras report"  # the generator of each page, by which a page of another program is known
WEBP_QUALITY = 80


def render(template, **values):
    """Return a page as text.

    Every value is escaped. The content security policy allows the style and the script of this package by their hashes,
    pictures inside the page, and videos on the same disk or server; so a text that slipped through would do nothing.

    Args:
        template: File name of the template.
        values: What the template shows.
    """
    style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "img-src": "data:",
        "media-src": "'self' file:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    texts = {"style": Markup(style), "script": Markup(script), "mark": MARK}
    texts["policy"] = "; ".join(f"{name} {value}" for name, value in policy.items())
    return _environment().get_template(template).render(texts | values)


def is_own_page(path):
    """Whether a file was written by ``render``."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            return MARK in file.read(2000)
    except (OSError, UnicodeDecodeError):
        return False


def jpeg_uri(picture, quality):
    """Return a picture as a data URI, JPEG."""
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=quality, optimize=True)
    return _data_uri("image/jpeg", buffer)


def figure_uri(path):
    """Return a figure as a data URI, WebP: a third of the bytes of the PNG, without visible loss."""
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(buffer, "WEBP", quality=WEBP_QUALITY)
    return _data_uri("image/webp", buffer)


def with_code(text):
    """Return a text as HTML in which `` `x` `` is code.

    Example:
    >>> print(with_code("see `a<b`, & more"))
    see <code>a&lt;b</code>, &amp; more
    """
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _environment():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["with_code"] = with_code
    return environment


def _hash(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data_uri(kind, buffer):
    return f"data:{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
