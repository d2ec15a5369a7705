"""One tiny exported model for every test that serves or scores, built once a session."""

from types import SimpleNamespace

import pytest


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """A run whose tiny models were exported: `config`, `extractor`, `detector`, `folder` (of version 1)."""
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("a SavedModel is written by the TensorFlow backend")
    from pipelines.config import load_config
    from pipelines.stages import export

    work = tmp_path_factory.mktemp("exported")
    keras.utils.set_random_seed(7)
    extractor, detector = tiny_models()
    extractor.save(work / "extractor.keras")
    detector.save(work / "detector.keras")
    overrides = [f"work_dir={work}", f"export.root={work / 'savedmodels'}", "export.name=tiny"]
    config = load_config(overrides=[*overrides, "data.clip_frames=4", "data.image_size_px=32"])
    folder = export.run(config)
    return SimpleNamespace(config=config, extractor=extractor, detector=detector, folder=folder)


def tiny_models():
    """A small extractor and detector with weights that are far from their start, so that scores differ."""
    import numpy as np

    from vad_keras.models import AnomalyDetector, RelationAwareExtractor

    extractor = RelationAwareExtractor(
        backbone="small", image_size=32, clip_frames=4, scales=(1, 2), gate_dim=4, relation_units=8
    )
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (1, 4, 32, 32, 3)).astype("uint8")
    nodes = extractor({"frames": frames, "mask": np.ones((1, 4), bool)})["nodes"]
    detector = AnomalyDetector(key_dim=8, value_dim=8, temporal_localities=(1, 2, 4), max_iterations=3)
    detector({"nodes": nodes, "mask": np.ones((1, 4), bool)})
    for weight in detector.trainable_variables:
        weight.assign(np.asarray(weight) + rng.normal(0, 0.3, weight.shape))
    return extractor, detector
