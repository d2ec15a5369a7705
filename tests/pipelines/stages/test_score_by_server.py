"""`vad score` with a server gives the files of `vad score` in this process."""

import numpy as np
import pytest

from pipelines.stages import score
from tests.pipelines.stages.test_score import config, read_json  # noqa: F401 - a fixture
from tests.videos import write_video


def test_a_server_gives_the_same_files_and_a_dead_one_costs_only_what_it_did_not_score(config, served, tmp_path):  # noqa: F811
    servers = pytest.importorskip("tests.pipelines.serving.in_process_server")
    videos = tmp_path / "videos"
    for number, name in enumerate("amz"):
        write_video(videos / f"{name}.mp4", seed=number)
    local, output = score.run(config(videos)), str(tmp_path / "remote")
    seen = []

    def die(signature):
        seen.append(signature)
        if signature == "score_nodes" and seen.count("score_nodes") == 2:  # the second video
            raise servers.RefusedError("INTERNAL", "the server went away")

    with servers.grpc_server(served) as address:
        remote = config(videos, model="", server=address, server_model="tiny", output=output)
        served.failures.extend([die] * 99)
        score.run(remote)
        served.failures.clear()
        (skipped,) = read_json(tmp_path / "run/summaries/score.json")["skipped"]
        assert skipped["input"] == str(videos / "m.mp4")
        assert skipped["reason"].startswith("the server answered INTERNAL: the server went away; the same command")
        assert sorted(path.stem for path in (tmp_path / "remote").glob("?.json")) == ["a", "z"]
        stamp = (tmp_path / "remote/a.json").stat().st_mtime_ns
        score.run(remote)
    assert (tmp_path / "remote/a.json").stat().st_mtime_ns == stamp
    assert {path.name for path in local.iterdir()} == {path.name for path in (tmp_path / "remote").iterdir()}
    for name in "amz":
        ours, expected = read_json(tmp_path / f"remote/{name}.json"), read_json(local / f"{name}.json")
        np.testing.assert_allclose(ours.pop("scores"), expected.pop("scores"), atol=2e-6)
        np.testing.assert_allclose(ours.pop("max_score"), expected.pop("max_score"), atol=2e-6)
        assert ours["model"] | {"sha256": "", "version": ""} == expected["model"] | {"sha256": "", "version": ""}
        assert ours | {"model": {}} == expected | {"model": {}}
