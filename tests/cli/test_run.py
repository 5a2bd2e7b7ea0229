"""`embedcache run` on twelve pictures of noise: their labels mean nothing."""

from __future__ import annotations

from pathlib import Path

from command import Command
from shop import SMALL, Shop


def test_it_ends_with_the_run_to_use(shop: Shop, cli: Command) -> None:
    """Its score, what each stage gave, and the next command, within 80 columns but for paths."""
    done = cli.well("run", shop.photos, *SMALL)
    lines = done.out.splitlines()
    assert lines[0].startswith("accuracy ")
    assert max(len(line) for line in lines if "/" not in line and "IMAGES" not in line) <= 80
    assert any("decide:   FIX_DATA, correct the data first" in line for line in lines)
    assert any("finetune: left out: the verdict is FIX_DATA" in line for line in lines)
    (use,) = (line.split()[1] for line in lines if line.startswith("use:"))
    assert f"next:    embedcache predict {Path(use).name} IMAGES…" in lines
    assert lines[-1].startswith("better:  embedcache extract ")
    for stage in ("extract …", "fit-head …", "decide …"):
        assert stage in done.err
    again = cli.well("run", shop.photos, *SMALL)
    assert "fit-head: fitted before, logreg" in again.out
    assert f"use:     {use}" in again.out


def test_json_has_the_object_of_every_stage(shop: Shop, cli: Command) -> None:
    """As each command's own `--json` prints it."""
    found = cli.well("run", shop.photos, *SMALL, "--escalate", "never", "--json").json
    assert found["use"] == found["fit-head"]["run"]
    assert found["extract"]["rows"] == 12
    assert found["fit-head"]["report"]["model"] == "logreg"
    assert found["decide"]["decision"]["verdict"] == "FIX_DATA"
    assert found["finetune"] is None
    assert found["left_out"] == {"finetune": "as asked for"}
    assert list(found["minutes"]) == ["extract", "fit-head", "decide", "finetune"]


def test_rejected_inputs_do_not_stop_it(shop: Shop, cli: Command) -> None:
    """Exit code 3 at the end, as for extract."""
    photos = shop.folder / "mixed"
    for path in sorted(shop.photos.rglob("*.png")):
        copy = photos / path.relative_to(shop.photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (photos / "class0" / "broken.png").write_bytes(b"no picture")
    done = cli("run", photos, *SMALL, "--escalate", "never")
    assert done.code == 3
    assert "12 rows, 0 of them embedded now, 1 rejected" in done.out


def test_a_recipe_has_a_section_for_it(shop: Shop, cli: Command) -> None:
    """Keys are its options and its argument."""
    recipe = shop.folder / "mine.toml"
    text = f'[run]\nsource = "{shop.photos}"\nimage-size = 32\nescalate = "never"\nmodel = "ncm"\n'
    recipe.write_text(text)
    assert "ncm on 3 classes" in cli.well("run", "--config", recipe).out


def test_a_budget_that_is_over_says_what_is_left_out(shop: Shop, cli: Command) -> None:
    """Where there is nothing to embed, head and verdict come all the same."""
    done = cli.well("run", shop.photos, *SMALL, "--budget", "1e-9")
    assert "decide:   FIX_DATA" in done.out
