"""Contrast between abnormal and normal bags, the term L_cs of Eq. 9, printed as Eq. 10."""

from typing import Literal, get_args

from keras import ops

from vad_keras import checks
from vad_keras.typing import Tensor

ContrastForm = Literal["hinge", "printed"]


def bag_contrast(
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    form: ContrastForm = "hinge",
    positive_mask: Tensor | None = None,
    negative_mask: Tensor | None = None,
) -> Tensor:
    """Contrastive loss over all pairs of a positive and a negative embedding.

    With ``d_ij = ||positive_i - negative_j||_2``:

    * ``"hinge"``: ``mean_ij max(0, margin - d_ij)^2``. Minimising it widens the distance up to the margin, which is
      what the text of Sec 3.4 asks for. Where two embeddings coincide no direction leads apart, and the gradient is 0.
    * ``"printed"``: ``sum_ij d_ij^2 / (n m)^2``, Eq. 10 letter by letter. Minimising it narrows the distance.

    Args:
        positive: embeddings of abnormal samples, ``(n, F)``.
        negative: embeddings of normal samples, ``(m, F)``.
        margin: a pair at least this far apart has no loss (``"hinge"`` only).
        form: ``"hinge"`` or ``"printed"``.
        positive_mask: boolean ``(n,)``, False for a row that does not take part; ``n`` then counts the True ones.
        negative_mask: boolean ``(m,)``, likewise.

    Returns:
        float32 scalar; 0 when there is no pair. Memory grows with ``n * m * F``.

    Raises:
        ValueError: if ``form`` is unknown, ``margin`` is not positive or the embeddings are not ``(n, F)`` and ``(m,
            F)``.

    Example:

    >>> import numpy as np
    >>> positive, negative = np.array([[0.5, 0.0]]), np.array([[0.0, 0.0]])
    >>> float(bag_contrast(positive, negative)), float(bag_contrast(positive, negative, form="printed"))
    (0.25, 0.25)

    Reference: Sec 3.4, Eq. 10.
    """
    _check(positive, negative, margin, form)
    squared = _squared_distances(positive, negative)
    taking_part = ops.expand_dims(_weights(positive, positive_mask), 1) * _weights(negative, negative_mask)
    num_pairs = ops.maximum(ops.sum(taking_part), 1.0)  # |B_p| |B_n|
    if form == "printed":
        return ops.sum(squared * taking_part) / ops.square(num_pairs)
    apart = squared > 0
    distance = ops.where(apart, ops.sqrt(ops.where(apart, squared, 1.0)), 0.0)
    return ops.sum(ops.square(ops.relu(margin - distance)) * taking_part) / num_pairs


def _check(positive: Tensor, negative: Tensor, margin: float, form: str) -> None:
    checks.choice(get_args(ContrastForm), "'printed' is Eq. 10 as in the paper.", form=form)
    checks.numbers_in("(0, inf)", margin=margin)
    shapes = tuple(positive.shape), tuple(negative.shape)
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            f"`positive` and `negative` must be (n, F) and (m, F) with one F. Received: {shapes[0]} and {shapes[1]}. "
            "Flatten the leading axes with reshape(x, (-1, F))."
        )


def _squared_distances(positive: Tensor, negative: Tensor) -> Tensor:
    """``(n, F)``, ``(m, F)`` -> ``(n, m)``, by differences: the product form loses small distances to rounding."""
    positive, negative = ops.cast(positive, "float32"), ops.cast(negative, "float32")
    return ops.sum(ops.square(ops.expand_dims(positive, 1) - ops.expand_dims(negative, 0)), axis=-1)


def _weights(embeddings: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return ops.ones_like(embeddings[:, 0], dtype="float32")
    return ops.cast(mask, "float32")
