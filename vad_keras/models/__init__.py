"""Models of the paper: frames to nodes, and nodes to anomaly scores."""

from vad_keras.models.anomaly_detector import AnomalyDetector
from vad_keras.models.baselines.sultani import SultaniRanker
from vad_keras.models.relation_aware_extractor import RelationAwareExtractor

__all__ = [
    "AnomalyDetector",
    "RelationAwareExtractor",
    "SultaniRanker",
]
