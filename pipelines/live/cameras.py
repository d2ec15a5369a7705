"""``cameras.toml``: which cameras are watched, where their pictures come from, and what of them counts."""

import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import tomlkit
from tomlkit.exceptions import TOMLKitError

from pipelines.config import UserError
from pipelines.report.terminal.summary import printable
from pipelines.run.files import write_text
from pipelines.run.folder import RunFolder
from pipelines.serving.exported import exported_model

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
TRANSPORTS = ("tcp", "udp")
NETWORK = ("rtsp", "rtsps", "http", "https")


@dataclass(frozen=True)
class Camera:
    """A source of pictures and how it is watched.

    Args:
        name: Letters, digits, - and _; it names files and topics.
        source: File, folder that recordings are dropped into, ``/dev/video0``, ``rtsp://`` or ``http(s)://`` address.
        model: Folder of an exported model; empty: ``score.model``, or the model that the run exported.
        threshold: A score at or above it is an alarm; None: the threshold of the model.
        notice_threshold: A score at or above it is a notice; None: there are no notices.
        zones: Polygons of the picture that count, fractions of its width and height; empty: all of it.
        transport: ``"tcp"`` or ``"udp"``, for RTSP.
        enabled: Whether it is watched.
    """

    name: str
    source: str
    model: str = ""
    threshold: float | None = None
    notice_threshold: float | None = None
    zones: tuple[tuple[tuple[float, float], ...], ...] = ()
    transport: str = "tcp"
    enabled: bool = True

    @property
    def kind(self):
        """``"network"``, ``"device"``, ``"folder"`` or ``"file"``."""
        if urlsplit(self.source).scheme in NETWORK:
            return "network"
        if self.source.startswith("/dev/"):
            return "device"
        return "folder" if Path(self.source).is_dir() else "file"

    @property
    def shown_source(self):
        """The source as it may be printed: an address without user, password, query and fragment."""
        return without_credentials(self.source)


def without_credentials(source):
    """Return an address without its user, password, query and fragment, any of which may be secret.

    Example:
    >>> without_credentials("rtsp://admin:secret@10.0.0.5:554/live?token=abc")
    'rtsp://10.0.0.5:554/live'
    """
    scheme, separator, rest = source.partition("://")
    if not separator:
        return source
    authority, slash, path = rest.partition("/")
    if "@" in path:  # a password with a slash in it
        authority, slash, path = path.rpartition("@")[2].partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{re.split('[?#]', path)[0]}"


def camera_of(source, name="", **values):
    """Return the ``Camera`` of a source on the command line, named after it.

    Raises:
        UserError: The source is no address, file, folder or device.
    """
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", _stem(source)).strip("_")[:64]
    camera = Camera(name or stem or "camera", source, **values)
    _check_source(camera, "the command line")
    return camera


def named_apart(cameras):
    """Return cameras with names that differ: ``door``, ``door_2``."""
    taken, apart = set(), []
    for camera in cameras:
        name, number = camera.name, 2
        while name.casefold() in taken:
            name, number = f"{camera.name}_{number}", number + 1
        taken.add(name.casefold())
        apart.append(dataclasses.replace(camera, name=name))
    return apart


def camera_named(path, name=""):
    """Return the camera of a ``cameras.toml`` with a name; without one, its only camera.

    Raises:
        UserError: There is none, or the file has several and none is named.
    """
    cameras = {camera.name: camera for camera in read_cameras(path)}
    if name in cameras:
        return cameras[name]
    if name or len(cameras) > 1:
        what = f"has no camera `{name}`" if name else "has several cameras"
        raise UserError(f"{path} {what}. Name one with --camera: {', '.join(cameras)}.")
    return next(iter(cameras.values()))


def read_cameras(path):
    """Read the cameras of a ``cameras.toml``, in order.

    Raises:
        UserError: The file cannot be read, or a camera in it is wrong; the text names the camera and the key.
    """
    document = _read(path).unwrap()
    unknown = sorted(set(document) - {"cameras"})
    tables = document.get("cameras", [])
    if unknown or not isinstance(tables, list) or not tables:
        what = f"has the unknown key `{unknown[0]}`" if unknown else "names no camera"
        raise UserError(f'{path} {what}. It holds one table `[[cameras]]` per camera, with `name` and `source`.')
    cameras = [_camera(table, f"camera {number} of {path}") for number, table in enumerate(tables, start=1)]
    names = [camera.name.casefold() for camera in cameras]
    for camera in cameras:
        if names.count(camera.name.casefold()) > 1:
            raise UserError(f"two cameras of {path} have the name `{camera.name}`. Give each its own name.")
    return cameras


def find_cameras(options):
    """Return the enabled ``Camera``s of the settings ``[watch]``.

    Raises:
        UserError: There are none, or one is wrong.
    """
    if options.cameras and options.sources:
        raise UserError("give sources or --cameras, not both: a source can be added to the file as `[[cameras]]`.")
    if not options.cameras and not options.sources:
        raise UserError("nothing to watch: name a source, such as `vad watch rtsp://HOST/STREAM`, or use --cameras.")
    if options.cameras:
        cameras = [camera for camera in read_cameras(options.cameras) if camera.enabled]
        if not cameras:
            raise UserError(f"all cameras of {options.cameras} have `enabled = false`.")
    else:
        cameras = named_apart([camera_of(source) for source in options.sources])
    for camera in cameras:
        if camera.kind == "file" and not Path(camera.source).is_file():
            raise UserError(
                f"{printable(camera.source)} does not exist. A source is a file, a folder, a device such as "
                "/dev/video0, or an rtsp:// or http(s):// address."
            )
    return cameras


def model_of(camera, config):
    """Return the folder of the model that scores a camera: its own, ``score.model``, or what the run exported.

    Raises:
        UserError: There is none.
    """
    return str(camera.model or config.score.model or exported_model(RunFolder.of(config)))


def change_camera(path, name, **values):
    """Rewrite keys of one camera, in one step; comments and all other lines stay. None removes a key.

    Args:
        path: ``cameras.toml``.
        name: The camera.
        values: Fields of ``Camera`` and their new values.

    Raises:
        UserError: There is no such camera, or a value is wrong.
    """
    document = _read(path)
    table = next((table for table in document.get("cameras", []) if table.get("name") == name), None)
    if table is None:
        raise UserError(f"{path} has no camera `{name}`.")
    for key, value in values.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = _plain(value)
    _camera(table.unwrap(), f"camera `{name}` of {path}")
    write_text(path, tomlkit.dumps(document))


def _read(path):
    try:
        return tomlkit.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    except TOMLKitError as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from None


def _camera(table, where):
    """Return the ``Camera`` of a table after a check of every key."""
    if not isinstance(table, dict):
        raise UserError(f"{where} is no table.")
    fields = {field.name for field in dataclasses.fields(Camera)}
    unknown = sorted(set(table) - fields)
    if unknown:
        raise UserError(f"{where} has the unknown key `{unknown[0]}`. Known keys: {', '.join(sorted(fields))}.")
    name = table.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UserError(f"{where} needs a `name` of up to 64 letters, digits, - and _. Received: {name!r}.")
    where = f"camera `{name}`{where[where.rindex(' of '):]}"
    for key in ("source", "model", "transport"):
        if key in table and not isinstance(table[key], str):
            raise UserError(f"`{key}` of {where} must be a text. Received: {table[key]!r}.")
    for key in ("threshold", "notice_threshold"):
        if key in table and not _is_fraction(table[key]):
            raise UserError(f"`{key}` of {where} must lie between 0 and 1. Received: {table[key]!r}.")
    if table.get("transport", "tcp") not in TRANSPORTS:
        raise UserError(f"`transport` of {where} must be tcp or udp. Received: {table['transport']!r}.")
    if not isinstance(table.get("enabled", True), bool):
        raise UserError(f"`enabled` of {where} must be true or false. Received: {table['enabled']!r}.")
    camera = Camera(**{**table, "source": table.get("source", ""), "zones": _zones(table.get("zones", ()), where)})
    _check_source(camera, where)
    return camera


def _check_source(camera, where):
    if not camera.source:
        raise UserError(f"{where} needs a `source`: a file, a folder, a device, or an rtsp or http address.")
    scheme = urlsplit(camera.source).scheme if "://" in camera.source else ""
    if scheme and scheme not in NETWORK:
        raise UserError(f"{where}: {camera.shown_source} cannot be watched; known addresses: {', '.join(NETWORK)}.")


def _zones(zones, where):
    """Return polygons as nested tuples."""
    problem = f"`zones` of {where} must hold polygons of 3 points or more, each [x, y] between 0 and 1."
    if not isinstance(zones, list | tuple):
        raise UserError(problem)
    for zone in zones:
        if not isinstance(zone, list | tuple) or len(zone) < 3:
            raise UserError(problem)
        for point in zone:
            if not isinstance(point, list | tuple) or len(point) != 2 or not all(map(_is_fraction, point)):
                raise UserError(problem)
    return tuple(tuple((float(x), float(y)) for x, y in zone) for zone in zones)


def _is_fraction(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value <= 1


def _plain(value):
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _stem(source):
    shown = without_credentials(source)
    return Path(shown.partition("://")[2] or shown).stem if "://" not in shown else shown.partition("://")[2]
