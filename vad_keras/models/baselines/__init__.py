"""Published models to compare with, one file each."""

from vad_keras.models.baselines._adam_l2 import AdamL2
from vad_keras.models.baselines._base import Baseline
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

__all__ = [
    "BASELINES",
    "BNWVAD",
    "RTFM",
    "URDMU",
    "ARNet",
    "AdamL2",
    "Baseline",
    "Claws",
    "HLNet",
    "SultaniRanker",
    "ZaheerSelfReasoning",
    "ZhangInnerBag",
    "ZhongLabelCleaner",
    "ZhuNewsamAttention",
]

BASELINES = {  # name in a configuration -> model
    "sultani": SultaniRanker,
    "zhang": ZhangInnerBag,
    "zhu_newsam": ZhuNewsamAttention,
    "zhong": ZhongLabelCleaner,
    "zaheer_self_reasoning": ZaheerSelfReasoning,
    "claws": Claws,
    "hl_net": HLNet,
    "ar_net": ARNet,
    "rtfm": RTFM,
    "ur_dmu": URDMU,
    "bn_wvad": BNWVAD,
}
