"""``model.json`` beside ``saved_model.pb``: what a client must know to prepare frames for the model."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.config import UserError
from pipelines.run.files import write_json

MODEL_INFO_FILE = "model.json"
MODEL_CARD_FILE = "MODEL_CARD.md"
# The engine in this process turns so many snippets into nodes at once, one as a camera does: the kernels of another
# number of frames give other last digits of nodes, whose rounding to float16 changes scores by 1e-5.
SNIPPETS_PER_CALL = 1
DESCRIBE, QUERY, DESCRIPTION = "describe", "query", "model_json"  # the signature that returns it, its input and output


@dataclass(frozen=True)
class ModelInfo:
    """Description of an exported model, known without loading it.

    Args:
        name: Name of the model, as in models.config.
        clip_frames: Frames per snippet, K; 0: the model takes nodes only, it was trained on feature files.
        num_patches: Patches per frame, G.
        feature_dim: Channels per node, C.
        scales: Rows (and columns) of the patch grids.
        image_size_px: Side of the square that frames are resized to.
        frames_per_sec: Sampling rate; 0 takes every frame.
        jpeg_quality: Quality of the JPEGs that the models were trained on.
        threshold: A score at or above it is an alarm.
        config: The settings that decide a score, section by section.
        training_data: Number of videos and hash of the manifest that the models were trained on.
        created_utc: Time of the export, ISO 8601.
        made_with: Version of each library that wrote it.
        weights: SHA-256 of the Keras files.
        temporal_reach: Frames before and after a frame on which its nodes depend, beside its own snippet; not 0 for a
            video network.
        crop: Whether the centre of frames is cut, see ``data.crop``.
        takes_prior: Whether ``score_nodes`` also takes ``prior``, which ``extract`` returns.
        dtype: Type in which the extractor computes; all outputs are float32.
        signatures: Names of the signatures.
        code: Version of this package and the git commit of the code, where known.
    """

    name: str
    clip_frames: int
    num_patches: int
    feature_dim: int
    scales: tuple[int, ...]
    image_size_px: int
    frames_per_sec: float
    jpeg_quality: int
    threshold: float
    config: dict = field(default_factory=dict)
    training_data: dict = field(default_factory=dict)
    created_utc: str = ""
    made_with: dict = field(default_factory=dict)
    weights: str = ""
    temporal_reach: tuple[int, ...] = (0, 0)
    crop: bool = False
    takes_prior: bool = False
    dtype: str = "float32"
    signatures: tuple[str, ...] = ()
    code: dict = field(default_factory=dict)

    @property
    def score_from(self):
        """Where the patch scores come from, see ``AnomalyDetector``; ``"scorer"`` for a baseline."""
        return self.config.get("detector", {}).get("score_from", "scorer")

    def to_json(self):
        """Return the text that ``parse_model_info`` reads."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    def write(self, folder):
        """Write ``model.json`` into ``folder``."""
        write_json(Path(folder) / MODEL_INFO_FILE, dataclasses.asdict(self))


def read_model_info(version_folder):
    """Read ``model.json`` of an exported version.

    Raises:
        UserError: It is missing or lacks a field.
    """
    path = Path(version_folder) / MODEL_INFO_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `vad export` did not write this folder. Export the model again.") from None
    except ValueError as error:
        raise UserError(f"{path} cannot be used ({error}). Export the model again.") from None
    return parse_model_info(text, path)


def parse_model_info(text, source):
    """Return the ``ModelInfo`` in a text.

    Args:
        text: Content of ``model.json``, or what the signature ``describe`` returns.
        source: Where it is from, for errors.

    Raises:
        UserError: It is no JSON or lacks a field.
    """
    try:
        content = json.loads(text)
        known = {entry.name for entry in dataclasses.fields(ModelInfo)}
        info = ModelInfo(**{key: value for key, value in content.items() if key in known})
        return dataclasses.replace(
            info,
            scales=tuple(info.scales),
            temporal_reach=tuple(info.temporal_reach),
            signatures=tuple(info.signatures),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{source} cannot be used ({error}). Export the model again.") from None


def version_hash(version_folder):
    """Return a hash of the files of an exported version: another one with its name and number has another hash.

    The model card is not part of it: it decides no score.
    """
    files = sorted(path for path in Path(version_folder).rglob("*") if path.is_file())
    return file_hash(*(path for path in files if path.name != MODEL_CARD_FILE))


def file_hash(*paths):
    """Return the SHA-256 of the content of files, in order; a missing file counts as empty."""
    digest = hashlib.sha256()
    for path in map(Path, paths):
        if path.is_file():
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
