"""Losses of Eq. 9 and 10 and of the baseline [1]: pure functions, and Keras classes where ``compile`` needs one."""

from vad_keras.losses.bag_contrast import bag_contrast
from vad_keras.losses.bag_cross_entropy import BagCrossEntropy, bag_cross_entropy
from vad_keras.losses.contrastive_mil import contrastive_mil
from vad_keras.losses.ranking_mil import RankingMIL, ranking_mil
from vad_keras.losses.sparsity import sparsity
from vad_keras.losses.temporal_smoothness import temporal_smoothness

__all__ = [
    "BagCrossEntropy",
    "RankingMIL",
    "bag_contrast",
    "bag_cross_entropy",
    "contrastive_mil",
    "ranking_mil",
    "sparsity",
    "temporal_smoothness",
]
