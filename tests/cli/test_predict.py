"""`embedcache predict`, as a person and as a script see it."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from builders import png
from children import output
from command import Command
from shop import Shop

from embedcache.heads.artefact import Head
from embedcache.heads.head_record import AbstainRule


def test_predictions_go_to_standard_output_as_csv(cli: Command, shop: Shop) -> None:
    """One line per image, with its class and the probability of it."""
    done = cli.well("predict", shop.run.name, shop.photos / "class1")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [Path(row["id"]).name for row in rows] == ["000.png", "001.png", "002.png", "003.png"]
    assert {row["label_1"] for row in rows} <= {"class0", "class1", "class2"}
    assert all(1 / 3 <= float(row["probability_1"]) <= 1 for row in rows)
    assert done.err == ""


def test_cached_images_need_no_torch(shop: Shop) -> None:
    """The backbone is loaded only for what it has not seen."""
    text = output(
        """
        import json, sys
        from embedcache.cli.main import main
        try:
            main(json.loads(sys.argv[1]))
        except SystemExit as stop:
            assert stop.code == 0
        print(sorted({"torch", "timm", "sklearn"} & set(sys.modules)))
        """,
        json.dumps(["predict", str(shop.run), str(shop.photos)]),
    )
    assert len(text.splitlines()) == 1 + 12 + 1
    assert text.splitlines()[-1] == "[]"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_an_output_file_takes_the_form_of_its_ending(cli: Command, shop: Shop, ending: str) -> None:
    """With the top k classes; standard output then counts."""
    path = shop.folder / f"out.{ending}"
    done = cli.well("predict", shop.run, shop.photos, "--top-k", 2, "-o", path)
    assert done.out == f"12 images classified: {path}\n"
    rows = _read(path)
    assert len(rows) == 12
    assert all(float(row["probability_1"]) >= float(row["probability_2"]) for row in rows)
    assert cli.well("predict", shop.run, shop.photos, "-o", path, "-q").out == ""


def _read(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        return list(csv.DictReader(path.read_text().splitlines()))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    parquet = pytest.importorskip("pyarrow.parquet", reason="Parquet is an extra")
    return parquet.read_table(path).to_pylist()


def test_rejects_have_their_line_and_exit_3(cli: Command, shop: Shop) -> None:
    """New images are embedded, unreadable ones named, and nothing shifts."""
    fresh = shop.folder / "fresh"
    fresh.mkdir()
    (fresh / "a.png").write_bytes(png(70_000))
    (fresh / "b.png").write_text("no image")
    (fresh / "c.png").write_bytes(png(70_001))
    done = cli("predict", shop.run, fresh)
    assert done.code == 3
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [row["error"] for row in rows] == ["", "not an image: text", ""]
    assert [bool(row["label_1"]) for row in rows] == [True, False, True]
    out = shop.folder / "out.csv"
    done = cli("predict", shop.run, fresh, "--json", "-o", out)
    assert done.code == 3
    assert done.json == {"predicted": 2, "rejected": 1, "output": str(out)}


def test_json_on_standard_output_would_be_in_the_way(cli: Command, shop: Shop) -> None:
    """Exit code 2, and where the predictions may go."""
    done = cli("predict", shop.run, shop.photos, "--json")
    assert done.code == 2
    assert "--output" in done.err


def test_a_run_that_is_not_there_is_met_by_the_nearest(cli: Command, shop: Shop) -> None:
    """Exit code 2, and a name that exists."""
    done = cli("predict", shop.run.name[:-1] + "7", shop.photos)
    assert done.code == 2
    assert shop.run.name in done.err


def test_a_damaged_run_is_refused(cli: Command, shop: Shop) -> None:
    """Exit code 4."""
    (shop.run / "head.json").write_text("{}")
    assert cli("predict", shop.run, shop.photos).code == 4


def test_an_unknown_ending_is_refused_before_any_work(cli: Command, shop: Shop) -> None:
    """Exit code 2, and the endings there are."""
    done = cli("predict", shop.run, shop.photos, "-o", "out.xls")
    assert done.code == 2
    assert ".csv, .jsonl, .parquet" in done.err


def test_a_head_may_abstain(cli: Command, shop: Shop) -> None:
    """No class is named below its threshold, unless --no-abstain asks for every answer."""
    head = Head.load(shop.run)
    replace(head, abstain=AbstainRule(0.95, 1.0)).save(shop.run)
    out = shop.folder / "out.csv"
    done = cli.well("predict", shop.run, shop.photos, "-o", out)
    assert done.out == f"12 images classified, 12 without an answer: {out}\n"
    assert {(row["abstained"], row["label_1"]) for row in _read(out)} == {("true", "")}
    done = cli.well("predict", shop.run, shop.photos, "-o", out, "--no-abstain", "--json")
    assert done.json["abstained"] == 12
    rows = _read(out)
    assert all(row["abstained"] == "true" and row["label_1"] in head.classes for row in rows)
