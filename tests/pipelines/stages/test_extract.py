import dataclasses
import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.config import UserError
from pipelines.data.bags import whole_bags
from pipelines.data.clips import open_clips
from pipelines.data.listing.manifest import read_manifest, shard_paths
from pipelines.data.records import parse_bag
from pipelines.run.failures import MachineError
from pipelines.run.folder import RunFolder
from pipelines.stages import extract, train_extractor
from pipelines.stages.train_extractor import open_maps


@pytest.fixture
def trained(prepared):
    """Function like `prepared` that also saves an extractor."""

    def config(*overrides):
        config = prepared(*overrides)
        train_extractor.build_extractor(config).save(RunFolder.of(config).extractor)
        return config

    return config


def bags_of(folder):
    records = tf.data.TFRecordDataset([str(path) for path in shard_paths(folder, "nodes")])
    return [{key: value.numpy() for key, value in parse_bag(record).items()} for record in records]


def nodes_one_by_one(config):
    """Nodes of each video, computed one snippet at a time, without padding."""
    extractor, clips, result = keras.saving.load_model(RunFolder.of(config).extractor), open_clips(config), {}
    for video in clips.manifest.videos:
        order = [(video.video_id, i) for i in range(clips.num_snippets(video))]
        nodes = []
        for clip in clips.dataset(lambda order=order: iter(order)):
            outputs = extractor({"frames": clip["frames"][None], "mask": clip["mask"][None]})
            nodes.append(outputs["nodes"][0].numpy()[clip["mask"].numpy()])
        result[video.video_id] = np.concatenate(nodes)
    return result


@pytest.mark.parametrize("frozen", [False, True])
def test_each_video_is_one_bag_of_its_own_nodes(trained, frozen):
    config = trained(f"extractor.train_backbone={str(not frozen).lower()}")
    if frozen:
        extractor = keras.saving.load_model(RunFolder.of(config).extractor)
        open_maps(config, open_clips(config), extractor).fill(extractor)
    folder = extract.run(config)
    manifest, expected = read_manifest(folder), nodes_one_by_one(config)
    bags = bags_of(folder)
    assert [bag["video_id"].decode() for bag in bags] == [video.video_id for video in manifest.videos]
    for bag, video in zip(bags, manifest.videos, strict=True):
        assert bag["nodes"].dtype == np.float16 and bag["nodes"].shape == (video.num_sampled, 14, 96)
        np.testing.assert_allclose(bag["nodes"], expected[video.video_id], rtol=5e-3, atol=2e-3)
        assert bag["frame_indices"].tolist() == list(range(0, 16 * video.num_sampled, 16))
        assert bag["label"] == video.label


def test_two_runs_give_the_same_bytes(trained):
    config = trained()
    first = [path.read_bytes() for path in shard_paths(extract.run(config), "nodes")]
    for path in RunFolder.of(config).nodes.iterdir():
        path.unlink()
    assert [path.read_bytes() for path in shard_paths(extract.run(config), "nodes")] == first


def test_a_killed_extraction_keeps_its_finished_shards(trained, monkeypatch):
    config, write = trained(), extract._write_shard
    calls = []

    def killed_at_the_second(shard, *arguments):
        calls.append(shard)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(shard, *arguments)

    monkeypatch.setattr(extract, "_write_shard", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        extract.run(config)
    assert not (RunFolder.of(config).nodes / "videos.json").exists()
    kept = (RunFolder.of(config).nodes / "nodes-00000-of-00003.tfrecord").stat().st_mtime_ns
    monkeypatch.setattr(extract, "_write_shard", write)
    folder = extract.run(config)
    assert (folder / "nodes-00000-of-00003.tfrecord").stat().st_mtime_ns == kept
    assert [bag["video_id"].decode() for bag in bags_of(folder)] == [v.video_id for v in read_manifest(folder).videos]
    summary = json.loads((RunFolder.of(config).summaries / "extract.json").read_text())
    assert "1 of 3 shards were finished before" in summary["done"]


def test_another_extractor_extracts_again(trained):
    config = trained()
    before = bags_of(extract.run(config))[0]["nodes"]
    trained("seed=5")
    keras.utils.set_random_seed(9)
    train_extractor.build_extractor(config).save(RunFolder.of(config).extractor)
    assert not np.array_equal(bags_of(extract.run(config))[0]["nodes"], before)


def test_a_missing_extractor_names_the_command_to_run(prepared):
    with pytest.raises(UserError, match=r"extractor\.keras does not exist. Run `vad train-extractor`"):
        extract.run(prepared())


def test_an_extractor_of_another_size_is_refused(trained):
    config = trained()
    other = dataclasses.replace(config, data=dataclasses.replace(config.data, image_size_px=48))
    train_extractor.build_extractor(other).save(RunFolder.of(config).extractor)
    with pytest.raises(UserError, match=r"48 px.*32 px"):
        extract.run(config)


VIDEO = (
    "extractor.video_backbone=mc3_18",
    'extractor.prior_labels=["fight", "no fight"]',
    'extractor.prior_abnormal=["fight"]',
    "extractor.scales=[1]",
)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_video_network_sees_the_whole_video_and_gives_a_prior(trained, frozen):
    config = trained(*VIDEO, f"extractor.train_backbone={str(not frozen).lower()}")
    extractor, clips = keras.saving.load_model(RunFolder.of(config).extractor), open_clips(config)
    if frozen:
        open_maps(config, clips, extractor).fill(extractor)
    manifest = read_manifest(extract.run(config))
    assert manifest.channel_groups == (96, 512)
    inputs, _, origin = next(iter(whole_bags(RunFolder.of(config).nodes, manifest.videos[:1], prior=True)))
    video = manifest.by_id[origin["video_id"].numpy()[0].decode()]  # of 7 frames, in two snippets
    snippets = clips.dataset(lambda: iter([(video.video_id, 0), (video.video_id, 1)]))
    parts = [clip["frames"][clip["mask"]] for clip in snippets]
    maps = np.asarray(extractor.feature_maps(np.concatenate(parts)[None]))
    maps = np.pad(maps, [(0, 0), (0, 1), (0, 0), (0, 0), (0, 0)]).reshape(2, 4, 2, 2, 608)
    mask = np.arange(8).reshape(2, 4) < 7
    nodes = np.asarray(extractor.nodes_from_maps(maps, mask))[mask]
    prior = np.asarray(extractor.prior_from_maps(maps, mask))[mask]
    np.testing.assert_allclose(inputs["nodes"][0], nodes, rtol=5e-3, atol=2e-3 * np.abs(nodes).max())
    np.testing.assert_allclose(inputs["prior"][0], prior, rtol=5e-3, atol=2e-3 * np.abs(prior).max())


def test_causal_cliques_extract_again_from_the_past_alone(trained):
    config = trained(*VIDEO)
    before = bags_of(extract.run(config))[0]["nodes"]
    past = dataclasses.replace(config, detector=dataclasses.replace(config.detector, alignment="causal"))
    after = bags_of(extract.run(past))[0]["nodes"]
    assert not np.array_equal(after, before)


def test_a_damaged_shard_of_nodes_is_extracted_again(trained):
    config = trained()
    paths = shard_paths(extract.run(config), "nodes")
    whole = [path.read_bytes() for path in paths]
    paths[1].write_bytes(whole[1][:2000] + bytes([whole[1][2000] ^ 1]) + whole[1][2001:])
    paths[2].write_bytes(b"")
    kept = paths[0].stat().st_mtime_ns
    extract.run(config)
    assert [path.read_bytes() for path in paths] == whole and paths[0].stat().st_mtime_ns == kept
    summary = json.loads((RunFolder.of(config).summaries / "extract.json").read_text())
    named = "; damaged and written again: nodes-00001-of-00003.tfrecord, nodes-00002-of-00003.tfrecord"
    assert "; 1 of 3 shards were finished before" + named in summary["done"]


@pytest.mark.parametrize("frozen", [False, True])
def test_damaged_clips_stop_the_extraction_before_it_begins(trained, frozen):
    config = trained(f"extractor.train_backbone={str(not frozen).lower()}")
    path = RunFolder.of(config).clips / "clips-00001-of-00003.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x5A
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"clips-00001-of-00003\.tfrecord is damaged .*Run `vad prepare` again"):
        extract.run(config)
    with pytest.raises(UserError, match=r"clips-00001-of-00003\.tfrecord is damaged .*Run `vad prepare` again"):
        train_extractor.run(config)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_picture_that_was_written_damaged_is_named_by_its_shard(trained, frozen):
    config = trained(f"extractor.train_backbone={str(not frozen).lower()}", "train_extractor.epochs=1")
    path = RunFolder.of(config).clips / "clips-00001-of-00003.tfrecord"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    with tf.io.TFRecordWriter(str(path)) as writer:  # with the right checksums
        for record in records:
            writer.write(record.replace(b"\xff\xda", b"\xff\xff"))
    extractor = keras.saving.load_model(RunFolder.of(config).extractor)
    videos = open_clips(config).manifest.videos
    named = r"clips-00001-of-00003\.tfrecord is damaged \(a picture .*Delete it, then run `vad prepare`"
    shutil.rmtree(RunFolder.of(config).maps, ignore_errors=True)
    with pytest.raises(UserError, match=named):
        list(extract.extract_nodes(config, extractor, videos))
    with pytest.raises(UserError, match=named):
        train_extractor.run(config)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_video_that_fails_costs_no_neighbour_and_is_tried_again(trained, monkeypatch, frozen):
    config = trained(f"extractor.train_backbone={str(not frozen).lower()}")
    if frozen:
        extractor = keras.saving.load_model(RunFolder.of(config).extractor)
        open_maps(config, open_clips(config), extractor).fill(extractor)
    extract_nodes, bad = extract.extract_nodes, "train/n1"

    def fail(config, extractor, videos):  # as a batch does that holds snippets of the video before it, too
        ids = [video.video_id for video in videos]
        last = max(ids.index(bad) - 1, 0) if bad in ids else len(videos)
        yield from extract_nodes(config, extractor, videos[:last])
        if last < len(videos):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with monkeypatch.context() as patch:
        patch.setattr(extract, "extract_nodes", fail)
        folder = extract.run(config)
    manifest = read_manifest(folder)
    held = [bag["video_id"].decode() for bag in bags_of(folder)]
    assert len(held) == 7 and bad not in held and held == [video.video_id for video in manifest.videos]
    assert [tuple(pair) for pair in manifest.skipped] == [(bad, "out of memory")]
    summary = json.loads((RunFolder.of(config).summaries / "extract.json").read_text())
    assert summary["skipped"] == [{"input": bad, "reason": "out of memory"}]
    assert len(bags_of(extract.run(config))) == len(read_manifest(folder).videos) == 8


def test_an_extraction_of_which_every_video_fails_is_an_error(trained, monkeypatch):
    config = trained()

    def fail(*arguments):
        raise ValueError("no such shape")
        yield

    monkeypatch.setattr(extract, "extract_nodes", fail)
    with pytest.raises(UserError, match=r"none of the 8 videos has nodes\. The first: .*: ValueError: no such"):
        extract.run(config)


def test_nodes_and_maps_that_do_not_fit_are_refused_before_they_are_computed(trained, monkeypatch, capsys):
    config = trained("extractor.train_backbone=false")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    with pytest.raises(MachineError, match=r"nodes/ in .*needs about 129\.0 kB, but 100\.0 kB are free"):
        extract.run(config)  # 48 frames of 14 patches of 96 channels of 2 bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=30_000))
    with pytest.raises(MachineError, match=r"maps/ in .*needs about 36\.9 kB, but 30\.0 kB are free"):
        train_extractor.run(config)
    monkeypatch.undo()
    extract.run(config)
    assert "nodes/ needs about 129.0 kB; " in capsys.readouterr().err
