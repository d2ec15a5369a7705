"""Models of the paper: frames to nodes, and nodes to anomaly scores."""

from vad_keras.models.anomaly_detector import AnomalyDetector
from vad_keras.models.baselines.ar_net import ARNet
from vad_keras.models.baselines.bn_wvad import BNWVAD
from vad_keras.models.baselines.claws import Claws
from vad_keras.models.baselines.hl_net import HLNet
from vad_keras.models.baselines.rtfm import RTFM
from vad_keras.models.baselines.sultani import SultaniRanker
from vad_keras.models.baselines.ur_dmu import URDMU
from vad_keras.models.baselines.zaheer_self_reasoning import ZaheerSelfReasoning
from vad_keras.models.baselines.zhang import ZhangInnerBag
from vad_keras.models.baselines.zhong import ZhongLabelCleaner
from vad_keras.models.baselines.zhu_newsam import ZhuNewsamAttention
from vad_keras.models.relation_aware_extractor import RelationAwareExtractor

__all__ = [
    "BNWVAD",
    "RTFM",
    "URDMU",
    "ARNet",
    "AnomalyDetector",
    "Claws",
    "HLNet",
    "RelationAwareExtractor",
    "SultaniRanker",
    "ZaheerSelfReasoning",
    "ZhangInnerBag",
    "ZhongLabelCleaner",
    "ZhuNewsamAttention",
]
