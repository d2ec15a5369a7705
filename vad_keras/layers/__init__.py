"""Layers of the paper; each is usable alone in any Keras 3 project."""

from vad_keras.cliques import dense_affinity
from vad_keras.layers.clique_self_attention import CliqueSelfAttention
from vad_keras.layers.mean_field_crf import MeanFieldCell, MeanFieldCRF
from vad_keras.layers.normal_memory import NormalMemory
from vad_keras.layers.patch_pooling import MultiScalePatchPooling
from vad_keras.layers.prior_logit import PriorLogit
from vad_keras.layers.relation_gate import RelationGate
from vad_keras.layers.temporal_context import ContextScore, TemporalContext
from vad_keras.layers.temporal_relation import TemporalRelation

__all__ = [
    "CliqueSelfAttention",
    "ContextScore",
    "MeanFieldCRF",
    "MeanFieldCell",
    "MultiScalePatchPooling",
    "NormalMemory",
    "PriorLogit",
    "RelationGate",
    "TemporalContext",
    "TemporalRelation",
    "dense_affinity",
]
