"""The reference as Markdown, made of the types of the settings, the commands and the public names themselves."""

import ast
from pathlib import Path

from pipelines.config import all_settings
from pipelines.config.sections import section_classes
from pipelines.config.toml import toml_value

API = ("layers", "losses", "metrics", "models")
PACKAGE = Path(__file__).resolve().parents[2] / "vad_keras"


def public_names(name):
    """Return the first line and the public names of a part of ``vad_keras``, with their paths, without importing Keras.

    A function that is called like its module has the path of the module in front: ``vad_keras.losses.sparsity`` alone
    would be the module.
    """
    tree = ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8"))
    targets = [node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"]
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    modules = {alias.name: node.module for node in imports for alias in node.names}
    paths = {one: f"vad_keras.{name}.{one}" for one in ast.literal_eval(targets[0].value)}
    paths |= {one: f"{path}.{one}" for one, path in paths.items() if modules[one] == path}
    return ast.get_docstring(tree).split("\n")[0], paths


def api_page(name):
    """Return the page of a part of ``vad_keras``; mkdocstrings fills in the docstrings."""
    about, paths = public_names(name)
    blocks = [f"# vad_keras.{name}\n\n{about.replace('``', '`')}", *(f"::: {path}" for path in paths.values())]
    return "\n\n".join(blocks) + "\n"


def settings_page():
    """Return a table of the settings of each section."""
    parts = [
        "# Settings\n\nA configuration is a TOML file with these sections: `--config FILE`. "
        "`--set detector.key_dim=32` changes one setting of a command. "
        "A key that is not known is an error that names the nearest one.\n\n"
        "`vad config` prints the same list, with the values of a file. Settings marked with * can change neither a "
        "trained weight nor a score."
    ]
    groups = {}
    for setting in all_settings().values():
        groups.setdefault(setting.section, []).append(setting)
    for section, settings in groups.items():
        title = f"## [{section}]" if section else "## Top level"
        about = section_classes()[section].__doc__.split("\n")[0] if section else "Keys above all sections."
        rows = ["| setting | default | meaning |", "|:--|:--|:--|", *map(_row, settings)]
        parts.append(f"{title}\n\n{_cell(about)}\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _row(setting):
    parts = [setting.help]
    if setting.choices:
        parts.append("One of " + ", ".join(f"`{choice}`" if choice else "empty" for choice in setting.choices))
    if setting.limits:
        parts.append(setting.limits.capitalize())
    default = toml_value(setting.default) + (f" {setting.unit}" if setting.unit else "")
    mark = "" if setting.decides else " *"
    return f"| `{setting.key}`{mark} | `{_cell(default)}` | {_cell('. '.join(parts))} |"


def commands_page():
    """Return the help of every command, with its arguments and options."""
    import typer

    from pipelines.cli.app import app

    root = typer.main.get_command(app)
    parts = [f"# Commands\n\n{_text(root.help)}\n\n{_text(root.epilog)}"]
    for path, command in walk(root):
        context = command.make_context(path, [], resilient_parsing=True)
        usage = f"```\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```"
        rows = [_option(parameter, context) for parameter in command.params if not getattr(parameter, "hidden", False)]
        table = "\n".join(["| argument or option | meaning |", "|:--|:--|", *filter(None, rows)]) if any(rows) else ""
        parts.append("\n\n".join(filter(None, (f"## {path}", usage, _text(command.help), table))))
    return "\n\n".join(parts) + "\n"


def walk(group, path="vad"):
    """Yield ``(words, command)`` of every command that can be run, groups left out."""
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from walk(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


def _option(parameter, context):
    names, help_text = parameter.get_help_record(context) or ("", "")
    return f"| `{_cell(names)}` | {_cell(_text(help_text))} |" if help_text else None


def _text(text):
    return (text or "").replace("\b", "").replace("\f", "").strip()


def _cell(text):
    return " ".join(text.split()).replace("|", "\\|")
