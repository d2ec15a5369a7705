"""Tests of pipelines.run.failures."""

import errno
import os

import pytest
import tensorflow as tf

from pipelines.config import UserError
from pipelines.run.failures import MachineError, machine_error, reason_of
from pipelines.run.files import replacing


def no_file(number):
    return OSError(number, os.strerror(number))


def test_tensorflow_and_h5py_name_the_file_or_the_cause_in_their_text():
    full = tf.errors.ResourceExhaustedError(None, None, "runs/my run/.tmp-nodes-0; No space left on device")
    assert "to write runs/my run/nodes-0." in str(machine_error(full))
    denied = tf.errors.PermissionDeniedError(None, None, "{{function_node f}} a/b; Permission denied [Op:SaveV2]")
    assert str(machine_error(denied)).startswith("a/b cannot be used: permission denied.")
    hdf5 = OSError("Unable to write (errno = 28, error message = 'No space left on device', buf = 0x55)")
    assert "no space is left on the disk" in str(machine_error(hdf5))
    exhausted = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[8,512]")
    assert str(machine_error(exhausted)).startswith("out of memory.")
    assert machine_error(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")) is not None


@pytest.mark.parametrize("error", [ValueError("x"), OSError("a cut file"), KeyError("a"), RuntimeError("x")])
def test_what_the_machine_did_not_cause_is_none_of_its_failures(error):
    assert machine_error(error) is None


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_failure_of_the_system_is_one_line_with_its_file_and_a_way_out(number):
    text = str(machine_error(OSError(number, os.strerror(number), "runs/x")))
    assert "\n" not in text and "same command again" in text
    assert "runs/x" in text or number in (errno.ENOMEM, errno.EPIPE, errno.EMFILE, errno.ENFILE)


def test_one_input_is_named_and_what_would_stop_all_is_raised():
    assert reason_of(ValueError("height and width must be > 0\nmore")) == "ValueError: height and width must be > 0"
    assert reason_of(MemoryError()) == "out of memory"
    assert reason_of(OSError(errno.ENAMETOOLONG, "x", "y")) == "file name too long"
    assert reason_of(AssertionError()) == "AssertionError"
    system = map(no_file, (errno.ENOSPC, errno.EIO, errno.EROFS))
    for error in (*system, UserError("a setting"), MachineError("killed")):
        with pytest.raises(type(error)) as raised:
            reason_of(error)
        assert raised.value is error


def test_a_file_that_cannot_be_written_is_named_although_the_system_does_not(tmp_path):
    with pytest.raises(OSError) as raised, replacing(tmp_path / "door.csv"):
        raise no_file(errno.ENOSPC)
    assert f"to write {tmp_path / 'door.csv'}." in str(machine_error(raised.value))
    with pytest.raises(OSError) as raised, replacing(tmp_path / "door.csv"):
        (tmp_path / "source").read_bytes()
    assert raised.value.filename == str(tmp_path / "source")
