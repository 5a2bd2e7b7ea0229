"""`embedcache decide` on twelve pictures of noise: their labels mean nothing."""

from command import Command
from shop import Shop


def test_it_says_verdict_evidence_and_the_next_command(cli: Command, shop: Shop) -> None:
    """Within 80 columns but for paths, and where the files lie."""
    done = cli.well("decide")
    lines = done.out.splitlines()
    assert lines[0].startswith("FIX_DATA: ")
    assert max(len(line) for line in lines if " /" not in line) <= 80
    assert any(line.startswith("report:") for line in lines)
    assert lines[-1].startswith("next:    embedcache extract ")


def test_json_is_one_object(cli: Command, shop: Shop) -> None:
    """The stored record, and its folder."""
    done = cli.well("decide", shop.cache, "-o", shop.folder / "there", "--json", "--target", "0.9")
    assert done.json["decision"]["verdict"] == "FIX_DATA"
    assert done.json["folder"].startswith(str(shop.folder / "there"))
    assert len(done.json["decision"]["steps"]) == 9
    assert all(entry["source"] for entry in done.json["decision"]["thresholds"])
