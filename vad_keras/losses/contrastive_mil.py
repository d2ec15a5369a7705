"""The whole loss of the paper, Eq. 9."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from keras import ops

from vad_keras import checks, spec
from vad_keras.losses.bag_contrast import ContrastForm, bag_contrast
from vad_keras.losses.bag_cross_entropy import bag_cross_entropy
from vad_keras.losses.bags import TopK, check_k, labels_of_bags, mean_of_bags, top_k_weights
from vad_keras.losses.sparsity import sparsity
from vad_keras.losses.temporal_smoothness import temporal_smoothness
from vad_keras.typing import Tensor


def contrastive_mil(
    labels: Tensor,
    outputs: Mapping[str, Tensor],
    mask: Tensor | None = None,
    sparsity_weight: float = 8e-5,
    smoothness_weight: float = 8e-5,
    contrast_weight: float = 1.0,
    k: TopK = 0.1,
    margin: float = 1.0,
    contrast_form: ContrastForm = "hinge",
    normalize_embeddings: bool = False,
    cross_entropy_on: Sequence[str] = (spec.MARGINALS, spec.PATCH_SCORE),
) -> dict[str, Tensor]:
    """Contrastive multi-instance loss: each term of Eq. 9 and their total.

    1. ``bag_cross_entropy``: top-k bag probability against the label of the video, mean over all bags, summed over the
       heads in ``cross_entropy_on``. The paper puts it on the marginals alone, ``("marginals",)``; the scorer ``f_s``
       would then learn from sparsity and smoothness only, so by default it gets the same term.
    2. ``sparsity``, ``temporal_smoothness`` of the patch scores: mean over the abnormal bags, as in [1].
    3. ``contrast``: between the bag embeddings of abnormal and normal videos, a bag embedding being the mean of the
       embeddings of its top-k scored nodes (Eq. 10).

    ``total = bag_cross_entropy + sparsity_weight * sparsity + smoothness_weight * temporal_smoothness
    + contrast_weight * contrast``. Abnormal and normal bags are distinguished by ``labels``, never by position.

    Args:
        labels: ``(B,)``, 1 for an abnormal video and 0 for a normal one.
        outputs: dict with ``"patch_score"`` ``(B, T, G)``, ``"embedding"`` ``(B, T, G, F)`` and the heads of
            ``cross_entropy_on``; ``"marginals"`` is ``(B, T, G, 2)``, any other head ``(B, T, ...)`` in [0, 1].
        mask: boolean ``(B, T)``, True for a real frame; ``None`` when all are real.
        sparsity_weight: alpha_1 of Eq. 9.
        smoothness_weight: alpha_2 of Eq. 9.
        contrast_weight: weight of the contrast, 1 in Eq. 9; 0 leaves it out of the total.
        k: number (integer) or share (float) of the real nodes that are averaged per bag, or ``"mean"``.
        margin: see ``bag_contrast``.
        contrast_form: ``"hinge"`` or ``"printed"``, see ``bag_contrast``.
        normalize_embeddings: scale each bag embedding to length 1 before the contrast. Embeddings of many channels lie
            farther apart than the margin from the start, and the hinge then teaches nothing.
        cross_entropy_on: keys of ``outputs``.

    Returns:
        dict of float32 scalars: ``bag_cross_entropy``, ``sparsity``, ``temporal_smoothness``, ``contrast`` (each before
        its weight) and ``total``.

    Raises:
        KeyError: if ``outputs`` lacks a key.
        ValueError: if the shapes do not fit or an argument is out of range.

    Example:

    >>> import numpy as np
    >>> outputs = {"patch_score": np.full((2, 3, 1), 0.5), "embedding": np.zeros((2, 3, 1, 4))}
    >>> terms = contrastive_mil(np.array([0, 1]), outputs, cross_entropy_on=("patch_score",))
    >>> {name: round(float(value), 4) for name, value in terms.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'bag_cross_entropy': 0.6931, 'sparsity': 1.5, 'temporal_smoothness': 0.0, 'contrast': 1.0, 'total': 1.6933}

    Reference: Sec 3.4, Eq. 9, 10; [1] Sultani et al., Real-world anomaly detection in surveillance videos.
    """
    _check_keys(outputs, (spec.PATCH_SCORE, spec.EMBEDDING, *cross_entropy_on))
    check_options(sparsity_weight, smoothness_weight, contrast_weight, k, margin, contrast_form)
    labels = labels_of_bags(labels)
    scores = outputs[spec.PATCH_SCORE]
    embeddings = bag_embedding(outputs[spec.EMBEDDING], scores, mask, k)
    if normalize_embeddings:
        embeddings = ops.normalize(embeddings, axis=-1)
    heads = [_abnormal_probability(outputs, key) for key in cross_entropy_on]
    terms = {
        "bag_cross_entropy": sum(ops.mean(bag_cross_entropy(labels, head, mask, k)) for head in heads),
        "sparsity": mean_of_bags(sparsity(scores, mask), labels),
        "temporal_smoothness": mean_of_bags(temporal_smoothness(scores, mask), labels),
        "contrast": bag_contrast(embeddings, embeddings, margin, contrast_form, labels > 0.5, labels < 0.5),
    }
    terms["total"] = (
        terms["bag_cross_entropy"]
        + sparsity_weight * terms["sparsity"]
        + smoothness_weight * terms["temporal_smoothness"]
        + contrast_weight * terms["contrast"]
    )
    return terms


def check_options(
    sparsity_weight: float = 0.0,
    smoothness_weight: float = 0.0,
    contrast_weight: float = 0.0,
    k: TopK = 0.1,
    margin: float = 1.0,
    contrast_form: ContrastForm = "hinge",
    normalize_embeddings: bool = False,
    cross_entropy_on: Sequence[str] = (),
) -> None:
    """Raise a ``ValueError`` unless these are arguments of ``contrastive_mil``."""
    weights = {"sparsity_weight": sparsity_weight, "smoothness_weight": smoothness_weight}
    checks.numbers_in("[0, inf)", contrast_weight=contrast_weight, **weights)
    checks.numbers_in("(0, inf)", margin=margin)
    checks.choice(get_args(ContrastForm), contrast_form=contrast_form)
    check_k(k)


def checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of these arguments of ``contrastive_mil``; an unknown key or a wrong value is a ``ValueError``."""
    known = list(inspect.signature(check_options).parameters)
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"It takes {', '.join(known)}."
            raise ValueError(f"unknown key {name!r} in `loss_options`. {hint}")
    check_options(**options)
    return dict(options)


def bag_embedding(embedding: Tensor, scores: Tensor, mask: Tensor | None = None, k: TopK = 0.1) -> Tensor:
    """Mean embedding of the top-k scored nodes of each bag, ``(B, T, G, F)``, ``(B, T, G)`` -> float32 ``(B, F)``."""
    weights = ops.expand_dims(top_k_weights(scores, mask, k), -1)
    embedding = ops.where(weights > 0, ops.cast(embedding, "float32"), 0.0)
    return ops.sum(embedding * weights, axis=(1, 2))


def _abnormal_probability(outputs: Mapping[str, Tensor], key: str) -> Tensor:
    return outputs[key][..., spec.ABNORMAL] if key == spec.MARGINALS else outputs[key]


def _check_keys(outputs: Mapping[str, Tensor], keys: Sequence[str]) -> None:
    missing = [key for key in keys if key not in outputs]
    if missing:
        raise KeyError(
            f"`outputs` lacks {missing}. It holds {sorted(outputs)}. Pass the output dict of an AnomalyDetector, "
            "or name the heads you have in `cross_entropy_on`."
        )
