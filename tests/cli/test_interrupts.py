"""Interruptions: exit codes that a shell understands, a hint how to go on, and no traceback."""

import signal
import time
from pathlib import Path

import pytest
from builders import image_folder, make_cache
from children import start
from command import Command
from shop import Shop

_SLOW = """
    import time, embedcache.workflows.inventory as inventory
    from embedcache.cli.main import main
    def caches(root):
        print("ready", flush=True)
        time.sleep(60)
    inventory.caches = caches
    main(["ls"])
"""

_COMMAND = """
    import sys
    from embedcache.cli.main import main
    main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("signal_", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_with_its_code_and_a_hint(
    signal_: signal.Signals, code: int, word: str
) -> None:
    """128 + the signal's number, as shells count."""
    with start(_SLOW) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal_)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == f"\n{word}; the same command goes on from here\n"


def test_an_interrupted_extraction_goes_on(cli: Command, empty: Shop, tmp_path: Path) -> None:
    """Stopped while it embeds, the same command completes it, and no temporary file is left."""
    photos = image_folder(tmp_path / "many", 3, 20)
    arguments = ["extract", photos, "-b", 1, "--image-size", 64, "--cache-dir", empty.cache_dir]
    with start(_COMMAND, *arguments) as process:
        while not list(empty.cache_dir.glob("*/.*.work/plan.json")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert err.endswith("terminated; the same command goes on from here\n")
    assert "Traceback" not in err
    assert list(empty.cache_dir.rglob(".*.tmp-*")) == []
    assert cli.well(*arguments, "--json").json["rows"] == 60


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    """`embedcache inspect --rows | head -1` ends quietly."""
    path = make_cache(tmp_path / "many.h5", count=5000, dim=2).path
    with start(_COMMAND, "inspect", "--rows", path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("id\tlabel")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_predictions_into_a_closed_pipe_end_quietly(shop: Shop) -> None:
    """Also where they are written by another way than messages are."""
    with start(_COMMAND, "predict", shop.run, shop.photos) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
