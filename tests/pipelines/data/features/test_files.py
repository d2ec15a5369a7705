import pickle

import numpy as np
import pytest

from pipelines.config import UserError
from pipelines.data.features.files import FeatureArray, FeatureError, FeatureFolder


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)
    return path


def rows(count, width=3, start=0):
    return (start + np.arange(count * width, dtype=np.float32)).reshape(count, width)


def nodes_of(root, video_id, layout="time_feature", suffix=""):
    return FeatureFolder(root, suffix).find(video_id).read(layout)


def refusal(root, video_id="a", layout="time_feature", suffix=""):
    with pytest.raises(FeatureError) as caught:
        nodes_of(root, video_id, layout, suffix)
    return str(caught.value)


def test_one_file_a_video_is_found_by_name_in_any_folder(tmp_path):
    save(tmp_path / "deep" / "a.b.npy", rows(2))
    nodes = nodes_of(tmp_path, "train/a.b")
    assert nodes.dtype == np.float16 and nodes.tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


@pytest.mark.parametrize(("name", "suffix"), [("a_i3d", ""), ("a_C", ""), ("a", ""), ("a_rgb", "_rgb")])
def test_the_end_of_a_name_is_known_or_set(tmp_path, name, suffix):
    save(tmp_path / f"{name}.npy", rows(2))
    assert nodes_of(tmp_path, "a", suffix=suffix).shape == (2, 1, 3)


def test_one_file_a_crop_makes_patches_in_the_order_of_the_crops(tmp_path):
    for crop in range(10):
        save(tmp_path / f"a__{crop}.npy", rows(2, start=100 * crop))
    nodes = nodes_of(tmp_path, "a")
    assert nodes.shape == (2, 10, 3) and nodes[0, :, 0].tolist() == [100 * crop for crop in range(10)]


def test_crops_inside_one_file_make_the_same_patches(tmp_path):
    values = np.stack([rows(2, start=100 * crop) for crop in range(10)])
    save(tmp_path / "front" / "a.npy", values)
    save(tmp_path / "inside" / "a_i3d.npy", values.transpose(1, 0, 2))
    front = nodes_of(tmp_path / "front", "a", "crop_time_feature")
    np.testing.assert_array_equal(front, nodes_of(tmp_path / "inside", "a", "time_crop_feature"))
    assert front[1, 3].tolist() == [303, 304, 305]


def test_an_archive_holds_a_video_a_key_or_one_without_a_name(tmp_path):
    np.savez(tmp_path / "all.npz", a=rows(2), b=rows(4), **{"test/c": rows(3)})
    np.savez_compressed(tmp_path / "d.npz", rows(5))
    assert [len(nodes_of(tmp_path, name)) for name in "abcd"] == [2, 4, 3, 5]
    assert len(nodes_of(tmp_path / "all.npz", "train/b")) == 4


def test_an_archive_that_changed_is_read_again(tmp_path):
    np.savez(tmp_path / "all.npz", a=rows(2))
    assert len(nodes_of(tmp_path, "a")) == 2
    np.savez(tmp_path / "all.npz", a=rows(3))
    assert len(nodes_of(tmp_path, "a")) == 3


def test_text_is_a_line_a_segment(tmp_path):
    (tmp_path / "a_C.txt").write_text("0.5 -0.25 1.000000 \n\n2 3 4 \n")
    assert nodes_of(tmp_path, "a", "segments").tolist() == [[[0.5, -0.25, 1]], [[2, 3, 4]]]
    (tmp_path / "a_C.txt").write_text("0.5 -0.25 1\n2 3\n")
    assert "a_C.txt: cannot be read (" in refusal(tmp_path)


def test_of_two_with_one_name_the_path_decides(tmp_path):
    save(tmp_path / "x" / "test" / "a.npy", rows(2))
    save(tmp_path / "x" / "train" / "a.npy", rows(3))
    assert len(nodes_of(tmp_path, "train/a")) == 3
    assert "x/test/a and x/train/a under" in refusal(tmp_path)


def test_two_forms_of_one_video_are_refused(tmp_path):
    save(tmp_path / "a.npy", rows(2))
    np.savez(tmp_path / "all.npz", a=rows(2))
    assert refusal(tmp_path).endswith("hold the features of the same video. Keep one of them.")
    (tmp_path / "all.npz").unlink()
    save(tmp_path / "a__0.npy", rows(2))
    assert refusal(tmp_path).endswith("hold the features of the same video. Keep one of them.")


def test_a_missing_file_names_what_is_near(tmp_path):
    save(tmp_path / "a_flow.npy", rows(2))
    assert refusal(tmp_path).endswith('If a_flow holds them, set `features.suffix = "_flow"`.')
    assert refusal(tmp_path, "b") == (
        f"no feature file named b is under {tmp_path}. Copy it there, correct the name or remove the line."
    )
    (tmp_path / "all.npz").write_bytes(b"PK no archive")
    assert "(1 archives cannot be read, the first: " in refusal(tmp_path, "b")


def test_a_missing_or_different_crop_is_named(tmp_path):
    for crop in (0, 2):
        save(tmp_path / f"a__{crop}.npy", rows(2))
    assert refusal(tmp_path).startswith(f"a__1 is not under {tmp_path}, but 2 other crops are.")
    save(tmp_path / "a__1.npy", rows(3))
    assert "a__1.npy: has shape (3, 3), but crop 0 has (2, 3). Extract all crops again." in refusal(tmp_path)


class Trap:
    """Reports when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def test_objects_are_refused_and_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([Trap()], object), allow_pickle=True)
    np.savez(tmp_path / "all.npz", b=np.array([Trap()], object))
    for name in "ab":
        assert "holds Python objects, which are not loaded. Save a plain array" in refusal(tmp_path, name)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Trap()))
    assert "c.npy: cannot be read (" in refusal(tmp_path, "c")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((0, 3)), "is empty: shape (0, 3). Extract it again"),
        (np.float32(1), "is empty: shape ()"),
        (np.array([["x"]]), "must hold real numbers. Received dtype <U1"),
        (np.ones((2, 3), complex), "must hold real numbers. Received dtype complex128"),
        ([[1, 2], [np.nan, np.inf]], "2 values are NaN or infinite, the first at (1, 0). Extract it again"),
        ([[1, -7e4]], "holds 70000, beyond float16 (65504). Scale all features by one factor"),
        (np.ones((2, 3, 4)), "has shape (2, 3, 4), but layout `time_feature` is (T, D)."),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path, values, message):
    path = save(tmp_path / "a.npy", values)
    assert refusal(tmp_path).startswith(f"{path}: {message}")


def test_a_cut_file_is_told_when_it_is_read(tmp_path):
    path = save(tmp_path / "a.npy", rows(100))
    path.write_bytes(path.read_bytes()[:500])
    assert FeatureFolder(tmp_path).find("a").shapes == ((100, 3),)
    assert refusal(tmp_path).startswith(f"{path}: cannot be read (")


def test_a_shape_is_read_without_the_values(tmp_path):
    path = save(tmp_path / "a.npy", rows(100))
    path.write_bytes(path.read_bytes()[:128])
    assert FeatureArray(path).shape() == (100, 3)


def test_a_root_without_features_is_told(tmp_path):
    with pytest.raises(UserError, match=r"neither a folder nor an \.npz file: .*nowhere\. Set it"):
        FeatureFolder(tmp_path / "nowhere")
    (tmp_path / "video.mp4").touch()
    (tmp_path / ".hidden.npy").touch()
    with pytest.raises(UserError, match=r"no \.npy, \.npz, \.txt is under .*Set `features\.root`"):
        FeatureFolder(tmp_path)


def test_real_c3d_segments_are_read_as_they_are(shared_data):
    root = shared_data / "features" / "ucf_crime_c3d_32seg_10_test_videos.npz"
    nodes = nodes_of(root, "test/Explosion008_x264", "segments")
    assert nodes.shape == (32, 1, 4096)
    np.testing.assert_allclose(np.linalg.norm(nodes.astype(np.float32), axis=-1), 1, rtol=2e-3)


def test_a_single_array_under_the_name_of_an_archive_costs_no_other_file(tmp_path):
    save(tmp_path / "a.npy", rows(2)).rename(tmp_path / "b.npz")
    save(tmp_path / "c.npy", rows(2))
    assert nodes_of(tmp_path, "c").shape == (2, 1, 3)
    assert "b.npz: it is a single array, not an archive" in refusal(tmp_path, "b")


@pytest.mark.parametrize("header", ["{'descr': '<f4', 'shape': (2, 3", "{'descr': '<f4' 'shape': ((((", "(" * 99])
def test_whatever_a_damaged_header_says_the_file_is_named(tmp_path, header):
    content = header.encode().ljust(118) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content + bytes(24))
    assert "a.npy: cannot be read (" in refusal(tmp_path)
