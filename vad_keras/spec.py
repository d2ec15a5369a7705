"""The vocabulary of the project: axis order, label values, feature keys and units.

Standard library only, so that every part (core, pipelines, tests, the generator of a C client) can import it at no
cost.

Axes, outermost first:

* videos of a batch ``B`` ("bags"), time steps ``T`` (sampled frames of a whole video), patches ``G``, channels ``C``;
* frames of one snippet ``K``, rows ``H``, columns ``W``, colours (RGB).

Masks are boolean ``(B, T)``, True for a real frame; padding is at the end.
"""

from collections.abc import Sequence

NORMAL = 0
ABNORMAL = 1
NUM_LABELS = 2

DEFAULT_SCALES = (1, 2, 3)
DEFAULT_TEMPORAL_LOCALITIES = (1, 2, 4, 6, 8)
DEFAULT_CLIP_FRAMES = 8
CENTER_CROP = (112 / 128, 112 / 171)  # of the rows and columns of a frame, as published for mc3_18; an option

NODES = "nodes"
MASK = "mask"
PRIOR = "prior"

ANOMALY_SCORE = "anomaly_score"
CONTEXT_SCORE = "context_score"
PATCH_SCORE = "patch_score"
MARGINALS = "marginals"
UNARY_PROBABILITY = "unary_probability"
EMBEDDING = "embedding"
ITERATIONS = "iterations"


def precision(compute_dtype: str) -> str:
    """Type of scores, gates and energies: float32 at least, also under mixed precision; float64 for float64."""
    return "float64" if compute_dtype == "float64" else "float32"


def num_patches(scales: Sequence[int] = DEFAULT_SCALES) -> int:
    """Patches of one frame, ``sum(s * s)``: 14 for scales 1, 2 and 3."""
    return sum(scale * scale for scale in scales)
