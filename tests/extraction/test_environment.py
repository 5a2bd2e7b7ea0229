import sys
from datetime import datetime

import children
import pytest

from embedcache.extraction.environment import environment, fingerprint, utc_now


def test_the_environment_names_versions_and_platform() -> None:
    """Absent packages are said to be absent."""
    found = environment()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "pillow", "numpy", "system", "machine"} <= set(found)
    assert all(found.values())


def test_looking_at_the_environment_imports_nothing_heavy() -> None:
    """Versions are read from the packages' metadata."""
    code = """
        import sys
        from embedcache.extraction.environment import environment
        environment()
        print(sorted({"torch", "numpy", "PIL", "timm"} & set(sys.modules)))
    """
    assert children.output(code) == "[]\n"


def test_fingerprints_tell_environments_apart() -> None:
    """The order of entries does not count, their values do."""
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    assert fingerprint({"a": "1"}) != fingerprint({"a": "2"})


def test_the_date_can_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH makes files reproducible; without it the time is now, in UTC."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert utc_now() == "1970-01-01T00:00:00+00:00"
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    assert datetime.fromisoformat(utc_now()).year >= 2024
