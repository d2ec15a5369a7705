"""model.json: what a client needs to know."""

import dataclasses
import hashlib
import json

import pytest

from pipelines.config import UserError
from pipelines.serving.model_info import ModelInfo, file_hash, read_model_info

INFO = ModelInfo("vad", 8, 14, 2048, (1, 2, 3), 224, 10.0, 90, 0.5)


def test_model_json_reads_back_as_it_was_written(tmp_path):
    info = dataclasses.replace(INFO, training_data={"videos": {"train": 3}})
    info.write(tmp_path)
    assert read_model_info(tmp_path) == info


def test_a_field_of_a_later_release_does_no_harm(tmp_path):
    INFO.write(tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "red"}))
    assert read_model_info(tmp_path) == INFO


@pytest.mark.parametrize("text", ["{", "[1]", '{"name": "vad"}'])
def test_a_broken_model_json_is_named(tmp_path, text):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(UserError, match=r"model\.json cannot be used .* Export the model again"):
        read_model_info(tmp_path)


def test_a_missing_model_json_is_named(tmp_path):
    with pytest.raises(UserError, match=r"model\.json is missing"):
        read_model_info(tmp_path)


def test_the_hash_of_files_is_the_sha256_of_their_content_in_order(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    expected = hashlib.sha256(b"onetwo").hexdigest()
    assert file_hash(tmp_path / "a", tmp_path / "b", tmp_path / "missing") == expected
