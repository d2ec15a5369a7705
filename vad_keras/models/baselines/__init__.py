"""Published models to compare with, one file each."""

from vad_keras.models.baselines.ar_net import ARNet
from vad_keras.models.baselines.bn_wvad import BNWVAD
from vad_keras.models.baselines.hl_net import HLNet
from vad_keras.models.baselines.rtfm import RTFM
from vad_keras.models.baselines.sultani import SultaniRanker
from vad_keras.models.baselines.ur_dmu import URDMU

__all__ = [
    "BASELINES",
    "BNWVAD",
    "RTFM",
    "URDMU",
    "ARNet",
    "HLNet",
    "SultaniRanker",
]

BASELINES = {  # name in a configuration -> model
    "sultani": SultaniRanker,
    "hl_net": HLNet,
    "ar_net": ARNet,
    "rtfm": RTFM,
    "ur_dmu": URDMU,
    "bn_wvad": BNWVAD,
}
