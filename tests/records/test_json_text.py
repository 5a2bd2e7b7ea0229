import pytest

from embedcache.records.json_text import parse_json


@pytest.mark.parametrize("text", [b"[1, {}]", "[1, {}]"])
def test_json_is_parsed(text: bytes | str) -> None:
    """From bytes and from text."""
    assert parse_json(text) == [1, {}]


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 200_000, b'{"a":' * 200_000])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    """Cut, not UTF-8, or nested until the parser gives up."""
    with pytest.raises(ValueError, match=r".+"):
        parse_json(data)
