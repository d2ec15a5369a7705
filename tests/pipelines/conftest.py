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
    from pipelines.serving.engines import saved_model
    from pipelines.serving.model_info import version_hash
    from pipelines.stages import export

    work = tmp_path_factory.mktemp("exported")
    keras.utils.set_random_seed(7)
    extractor, detector = tiny_models()
    extractor.save(work / "extractor.keras")
    detector.save(work / "detector.keras")
    overrides = [f"work_dir={work}", f"export.root={work / 'savedmodels'}", "export.name=tiny"]
    config = load_config(overrides=[*overrides, "data.clip_frames=4", "data.image_size_px=32"])
    folder, load, loaded = export.run(config), saved_model._load, {}

    def load_once(version):
        content = version_hash(version)
        if content not in loaded:
            loaded[content] = load(version)
        return loaded[content]

    with pytest.MonkeyPatch.context() as patch:  # loading is most of the time of a test that scores
        patch.setattr(saved_model, "_load", load_once)
        yield SimpleNamespace(config=config, extractor=extractor, detector=detector, folder=folder)


@pytest.fixture(scope="session")
def served(exported):
    """The exported model as version 1 and 3 of stand-ins for a server; 1 is `stable`. A test leaves it as it was."""
    reason = "needs tensorflow-serving-api: pip install 'vad-keras[dev]'"
    pytest.importorskip("grpc", reason=reason)
    pytest.importorskip("tensorflow_serving.apis.predict_pb2", reason=reason)
    from tests.pipelines.serving.in_process_server import Models, Version

    version = Version(exported.folder)
    return Models("tiny", {1: version, 3: version}, {"stable": 1, "gone": 2})


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


@pytest.fixture(scope="session")
def write_nodes():
    """Function that writes small node records with known values, without any picture behind them."""
    return _write_nodes


def _write_nodes(
    folder, videos, shards=2, size=(5, 8), fingerprint="nodes", abnormal_part=(0.4, 0.7), seed=0, prior=False
):
    """Node records and their manifest.

    Args:
        folder: `nodes/` of a run; made here.
        videos: `{video_id: (subset, label, num_sampled)}`; the label may be None.
        shards: record files.
        size: `(G, C)`. Channel 0 holds the frame's position, channel 1 the video's; the others are noise, raised in the
            abnormal part of abnormal videos.
        fingerprint: of the manifest.
        abnormal_part: share of the length at which the event begins and ends.
        seed: of the noise.
        prior: whether each node also has a prior, its frame's position.

    Returns:
        List of `VideoInfo`; each sampled frame stands for 4 original ones, at 8 a second.
    """
    import numpy as np
    import tensorflow as tf

    from pipelines.data.examples import serialize_bag
    from pipelines.data.listing.manifest import VideoInfo, shard_name, write_manifest

    folder.mkdir(parents=True, exist_ok=True)
    random, infos, records = np.random.default_rng(seed), [], []
    for number, (video_id, (subset, label, count)) in enumerate(videos.items()):
        nodes = random.normal(size=(count, *size))
        first, last = (int(share * count) for share in abnormal_part)
        if label:
            nodes[first:last, :, 2:] += 2.0
        nodes[..., 0], nodes[..., 1] = np.arange(count)[:, None], number
        log_odds = nodes[..., 0] if prior else None
        records.append(serialize_bag(nodes, video_id, label, 4 * np.arange(count), log_odds))
        info = {"path": f"{video_id}.mp4", "subset": subset, "label": label, "class_name": "Event" if label else ""}
        info |= {"fps": 8.0, "num_frames": 4 * count - 1, "width": 32, "height": 32, "num_sampled": count}
        intervals = ((4 * first, 4 * last),) if label else ()
        infos.append(VideoInfo(video_id=video_id, **info, frame_labels=intervals))
    for shard in range(shards):
        with tf.io.TFRecordWriter(str(folder / shard_name("nodes", shard, shards))) as writer:
            for record in records[shard::shards]:
                writer.write(record)
    write_manifest(folder, infos, fingerprint=fingerprint)
    return infos
