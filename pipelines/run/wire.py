"""The wire format of protobuf messages that are too small to be worth a library."""


def field(number, content):
    """Return a length-delimited field: bytes, a text or a nested message.

    Args:
        number: Number of the field in its ``.proto`` file.
        content: Bytes of the value.

    Example:
    >>> field(1, b"door")
    b'\\n\\x04door'
    """
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    """Return an integer in base 128, lowest digits first; a negative one as its 64 bits.

    Example:
    >>> varint(300)
    b'\\xac\\x02'
    """
    value &= (1 << 64) - 1
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
