"""A configuration as TOML, with a comment above each setting."""

import json
import textwrap

from pipelines.config.sections import all_settings, section_classes, value_of

WIDTH = 118


def toml_value(value):
    """Return a value as TOML writes it.

    Example:
    >>> toml_value((1, 2)), toml_value(True), toml_value('a "b"'), toml_value(1e-4)
    ('[1, 2]', 'true', '"a \\\\"b\\\\""', '0.0001')
    """
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # a basic string of TOML is one of JSON
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


def about(setting):
    """Return the help line of a ``Setting`` with its choices and limits, as one line."""
    parts = [setting.help]
    if setting.choices:
        parts.append(f"One of {', '.join(choice or 'empty' for choice in setting.choices)}")
    if setting.limits and setting.limits != "at least 0":
        parts.append(setting.limits.capitalize())
    return ". ".join(parts)


def to_toml(config, keys=None, comment=None, header=""):
    """Return a configuration as the text of a TOML file that ``load_config`` reads back.

    Args:
        config: ``Config``.
        keys: Dotted keys to write; None: all of them.
        comment: Function of a ``Setting`` that gives the lines above it; where it gives none, these are its help, its
            default and its unit.
        header: Comment at the top of the file.

    Example:
    >>> from pipelines.config import load_config
    >>> print(to_toml(load_config(), keys=["detector.key_dim"], comment=about))
    [detector]  # The anomaly detector: self-attention over cliques, CRF and scorer (Sec 3.3 and 3.4 of the paper).
    # Size of queries and keys. At least 1
    key_dim = 64
    <BLANKLINE>
    """
    lines, section = _commented(header), ""
    for key, setting in all_settings().items():
        if keys is not None and key not in keys:
            continue
        if setting.section != section:
            section = setting.section
            lines += ["", f"[{section}]  # {section_classes()[section].__doc__}"]
        lines += _commented((comment and comment(setting)) or _with_default(setting))
        lines.append(f"{setting.name} = {toml_value(value_of(config, key))}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _with_default(setting):
    return f"{about(setting)}. Default: {toml_value(setting.default)} {setting.unit}".rstrip()


def _commented(text):
    return [f"# {part}" for line in text.splitlines() for part in textwrap.wrap(line, WIDTH)]
