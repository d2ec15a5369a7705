from google.protobuf.internal.decoder import _DecodeVarint
from google.protobuf.wrappers_pb2 import BytesValue, Int64Value, StringValue
from hypothesis import given
from hypothesis import strategies as st

from pipelines.run.wire import field, varint


@given(st.binary(min_size=1, max_size=300))
def test_a_field_is_what_protobuf_writes(content):
    assert field(1, content) == BytesValue(value=content).SerializeToString()


def test_a_text_is_a_field_of_its_utf_8_bytes():
    assert field(1, "größer".encode()) == StringValue(value="größer").SerializeToString()


@given(st.integers(-(2**63), 2**63 - 1).filter(bool))
def test_an_integer_is_what_protobuf_writes(value):
    tag = b"\x08"  # field 1, varint
    assert tag + varint(value) == Int64Value(value=value).SerializeToString()


def test_zero_takes_one_byte():
    assert varint(0) == b"\0" and _DecodeVarint(varint(0), 0) == (0, 1)
