"""Values of a configuration: read as TOML, checked against a declared type, choices and limits."""

import difflib
import math
import tomllib
import typing

# Values a key may take.
CHOICES = {
    "data.dataset": ("folder", "synthetic", "ucf_crime", "shanghaitech", "xd_violence", "ucsd_ped"),
    "data.default_subset": ("train", "test"),
    "features.layout": ("auto", "time_feature", "time_crop_feature", "crop_time_feature", "segments"),
    "bench.backbones": ("resnet50", "mobilenet_v2", "small"),
    "extractor.backbone": ("resnet50", "mobilenet_v2", "small"),
    "extractor.pooling": ("max", "average"),
    "detector.alignment": ("centered", "causal"),
    "detector.normalization": ("softmax", "none"),
    "detector.inference": ("mean_field", "algorithm_1"),
    "detector.node_normalization": ("layer", "unit", "none"),
    "detector.frame_pooling": ("max", "mean", "whole_frame"),
    "detector.score_from": ("scorer", "marginals", "mean"),
    "train_detector.model": (
        "anomaly_detector",
        "sultani",
        "zhong",
        "zhang",
        "zhu_newsam",
        "zaheer_self_reasoning",
        "claws",
        "hl_net",
        "ar_net",
        "rtfm",
        "ur_dmu",
        "bn_wvad",
    ),
    "repeat.backend": ("", "tensorflow", "jax", "torch"),
    "train_detector.sampling": ("window", "segments", "mixed", "segment_mean"),
    "train_detector.optimizer": ("adam", "adagrad", "rmsprop", "sgd"),
    "train_detector.contrast_form": ("hinge", "printed"),
    "train_detector.monitor": ("val_loss", "val_bag_auc"),
}

# Smallest and largest value by the key's name, alone or with its section; no other number may be negative.
AT_LEAST_ONE = (1, math.inf)
LIMITS = {
    "jpeg_quality": (1, 100),
    "validation_fraction": (0, 0.9),
    "dropout": (0, 0.99),
    "momentum": (0, 1),
    "threshold": (0, 1),
    "clip_frames": AT_LEAST_ONE,
    "repeats": AT_LEAST_ONE,
    "jobs": AT_LEAST_ONE,
    "repeat.seeds": AT_LEAST_ONE,
    "batches": AT_LEAST_ONE,
    "feature_dim": AT_LEAST_ONE,
    "image_size_px": AT_LEAST_ONE,
    "frames_per_feature": AT_LEAST_ONE,
    "video_fps": AT_LEAST_ONE,
    "videos_per_shard": AT_LEAST_ONE,
    "width_px": (16, math.inf),
    "height_px": (16, math.inf),
    "scales": AT_LEAST_ONE,
    "relation_units": AT_LEAST_ONE,
    "train_extractor.epochs": (0, math.inf),
    "epochs": AT_LEAST_ONE,
    "batch_size": AT_LEAST_ONE,
    "snippets_per_video": AT_LEAST_ONE,
    "key_dim": AT_LEAST_ONE,
    "value_dim": AT_LEAST_ONE,
    "temporal_localities": AT_LEAST_ONE,
    "max_iterations": AT_LEAST_ONE,
    "bag_frames": AT_LEAST_ONE,
}

# Keys of earlier versions and what they are now.
RENAMED = {f"evaluate.{key}": f"`repeat.{key}`" for key in ("folds", "seeds", "jobs", "rivals", "backend")}
RENAMED |= {"export.threshold": "`alarms.threshold`", "evaluate.runs": "the command `vad report RUN ...`"}


class UserError(Exception):
    """Something the user can mend. The command prints its text without a traceback and exits with 2."""


def read_toml(path):
    """The tables of a TOML file; a missing file is answered with the nearest name."""
    if not path.is_file():
        nearby = sorted(p.name for p in path.parent.glob("*.toml")) if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, nearby, n=1, cutoff=0.75)
        hint = f"Did you mean `{path.parent / close[0]}`?" if close else "Check the path given to --config."
        raise UserError(f"no configuration file at {path}. {hint}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}. Strings need quotes there.") from None


def parse_override(override, types):
    """`section.key=value` -> the dotted key and the value, read as TOML; a bare word is a string."""
    dotted, equals, text = (part.strip() for part in override.partition("="))
    if not equals or not dotted:
        raise UserError(f"`--set {override}` is not `section.key=value`, such as `--set data.root=videos`.")
    if types.get(dotted) is str and text[:1] not in ("'", '"'):
        return dotted, text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return dotted, text
    return dotted, parsed["value"] if len(parsed) == 1 else text


def unknown_key(dotted, source, types):
    """The error for a key that does not exist: the nearest name in any section, else what the section takes."""
    if dotted in RENAMED:
        return UserError(f"`{dotted}` in {source} is now {RENAMED[dotted]}.")
    section, _, key = dotted.rpartition(".")
    sections = {name.partition(".")[0] for name in types if "." in name}
    text = f"unknown key `{dotted}` in {source}."
    if dotted in sections:
        return UserError(f"`{dotted}` in {source} is a section. {_takes(dotted, types)}")

    def likeness(name):
        return _ratio(key, name.rpartition(".")[2]), _ratio(dotted, name)

    best = max(types, key=likeness)
    if likeness(best)[0] >= 0.6:
        return UserError(f"{text} Did you mean `{best}`?")
    if section in sections:
        return UserError(f"{text} {_takes(section, types)}")
    return UserError(f"{text} Sections are: {', '.join(sorted(sections))}.")


def unknown_section(section, source, types):
    """The error for a table that does not exist."""
    sections = sorted({name.partition(".")[0] for name in types if "." in name})
    close = difflib.get_close_matches(section, sections, n=1)
    hint = f"Did you mean `[{close[0]}]`?" if close else f"Sections are: {', '.join(sections)}."
    return UserError(f"unknown section `[{section}]` in {source}. {hint}")


def convert(kind, value, where):
    """`value` in its declared type; a TOML array becomes a tuple, and an integer a float where a float is asked for."""
    if typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        if not isinstance(value, list):
            example = '["a.mp4", "folder"]' if item is str else "[1, 2, 4]"
            raise UserError(f"{where} takes an array such as {example}. Received: {value!r}.")
        return tuple(convert(item, entry, where) for entry in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        name = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}[kind]
        raise UserError(f"{where} takes {name}. Received: {value!r}.")
    return value


def check_value(value, choices, limits, where):
    """Raises when `value`, or one entry of a tuple, is none of `choices` or outside `limits`."""
    if isinstance(value, tuple):
        for entry in value:
            check_value(entry, choices, limits, where)
    elif choices and value not in choices:
        close = difflib.get_close_matches(str(value), choices, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UserError(f"{where} must be one of {', '.join(map(repr, choices))}. Received: {value!r}.{hint}")
    elif type(value) in (int, float) and not (limits[0] <= value <= limits[1] and math.isfinite(value)):
        bound = f"at least {limits[0]}" if limits[1] == math.inf else f"in {limits[0]}..{limits[1]}"
        raise UserError(f"{where} must be {bound}. Received: {value!r}.")


def _ratio(one, other):
    return difflib.SequenceMatcher(None, one, other).ratio()


def _takes(section, types):
    keys = [name.partition(".")[2] for name in types if name.startswith(section + ".")]
    return f"`{section}` takes: {', '.join(keys)}."
