"""Predictions in three formats."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embedcache.errors import MissingExtraError, StorageError, UsageError
from embedcache.reports.predictions import prediction_writer

CLASSES = ("ant", "bee", "c,\n")
PROBABILITIES = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
IDS = [b"a.png", b'caf\xe9, "x"\n.png']
COLUMNS = ["id", "label_1", "probability_1", "label_2", "probability_2", "error"]


def fill(output: Path | None, stream: io.BytesIO | None = None, top: int = 2) -> None:
    with prediction_writer(output, stream or io.BytesIO(), CLASSES, top=top) as writer:
        writer.write(IDS, PROBABILITIES)
        writer.reject(b"bad.png", "truncated")


def check(rows: list[list[object]]) -> None:
    assert rows[0][1:] == ["bee", 0.5, "c,\n", 0.3, None]
    assert rows[1][1:5] == ["c,\n", 0.8, "ant", 0.1]
    assert rows[2] == ["bad.png", None, None, None, None, "truncated"]


def test_csv_holds_names_byte_by_byte(tmp_path: Path) -> None:
    """CSV quotes what needs it and keeps undecodable names."""
    fill(tmp_path / "p.csv")
    with open(tmp_path / "p.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == COLUMNS
    assert [os.fsencode(row[0]) for row in rows] == [*IDS, b"bad.png"]
    numbers = {2, 4}
    check(
        [
            [
                None if not cell else float(cell) if at in numbers else cell
                for at, cell in enumerate(row)
            ]
            for row in rows
        ]
    )


def test_json_lines_hold_one_object_each(tmp_path: Path) -> None:
    """JSON lines are ASCII and keep undecodable names as surrogates."""
    fill(tmp_path / "p.jsonl")
    lines = (tmp_path / "p.jsonl").read_text("ascii").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [list(row) for row in rows] == [COLUMNS] * 3
    assert [os.fsencode(row["id"]) for row in rows] == [*IDS, b"bad.png"]
    check([list(row.values()) for row in rows])


def test_parquet_has_types(tmp_path: Path) -> None:
    """Parquet has text and doubles, nulls for what is missing, and valid text."""
    fill(tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == COLUMNS
    assert [str(field.type) for field in table.schema] == [
        "string", "string", "double", "string", "double", "string",
    ]  # fmt: skip
    rows = [list(row.values()) for row in table.to_pylist()]
    assert rows[1][0] == 'caf\\xe9, "x"\n.png'
    check(rows)


def test_standard_output_is_csv_and_stays_open() -> None:
    """Without a file CSV goes to the stream, which belongs to the caller."""
    stream = io.BytesIO()
    fill(None, stream, top=1)
    assert not stream.closed
    first, second, *_ = stream.getvalue().split(b"\n")
    assert first == b"id,label_1,probability_1,error"
    assert second == b"a.png,bee,0.5,"
    assert b"caf\xe9" in stream.getvalue()


def test_terminals_get_escaped_names() -> None:
    """A terminal is never sent the escape codes of a name."""
    stream = io.BytesIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]  # a terminal's only difference
    with prediction_writer(None, stream, CLASSES) as writer:
        writer.write([b"\x1b[31m.png", b"\xff"], PROBABILITIES)
    assert b"\\x1b[31m.png" in stream.getvalue()
    assert b"\\xff" in stream.getvalue()


def test_more_than_all_classes_are_all(tmp_path: Path) -> None:
    """`top` above K names each class once."""
    fill(tmp_path / "p.csv", top=99)
    assert (tmp_path / "p.csv").read_text("latin-1").splitlines()[0].count("label_") == 3


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_failure_leaves_the_old_file(ending: str, tmp_path: Path) -> None:
    """Until the end nothing is replaced, and nothing temporary stays."""
    path = tmp_path / f"p.{ending}"
    path.write_text("old")

    def stop() -> None:
        with prediction_writer(path, io.BytesIO(), CLASSES) as writer:
            writer.write(IDS, PROBABILITIES)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_no_inputs_give_an_empty_table(ending: str, tmp_path: Path) -> None:
    """A file without predictions is still a file."""
    with prediction_writer(tmp_path / f"p.{ending}", io.BytesIO(), CLASSES):
        pass
    assert (tmp_path / f"p.{ending}").is_file()


def test_unknown_endings_and_ranks_are_refused(tmp_path: Path) -> None:
    """The known endings are listed; `top` is at least 1."""
    with pytest.raises(UsageError, match="unknown format") as caught:
        fill(tmp_path / "p.xlsx")
    assert ".parquet" in str(caught.value)
    with pytest.raises(UsageError, match="too few"):
        fill(tmp_path / "p.csv", top=0)
    assert os.listdir(tmp_path) == []


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError) as caught:
        fill(tmp_path / "p.parquet")
    assert caught.value.extra == "parquet"


def test_a_folder_that_is_missing_is_a_storage_error(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(StorageError) as caught:
        fill(tmp_path / "nowhere" / "p.csv")
    assert "nowhere" in str(caught.value)


def test_the_callers_errors_stay_the_callers(tmp_path: Path) -> None:
    """A system error inside the block is not blamed on the output."""
    with (
        pytest.raises(FileNotFoundError),
        prediction_writer(tmp_path / "p.csv", io.BytesIO(), CLASSES),
    ):
        open(tmp_path / "an input that is gone").close()


@pytest.mark.parametrize("answers_all", [False, True])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_rows_without_an_answer_are_marked(
    tmp_path: Path, ending: str, *, answers_all: bool
) -> None:
    """They have a probability and no label, unless every answer is asked for."""
    path = tmp_path / f"p.{ending}"
    with prediction_writer(
        path, io.BytesIO(), CLASSES, marks=True, answers_all=answers_all
    ) as writer:
        writer.write(IDS, PROBABILITIES, np.array([True, False]))
        writer.reject(b"bad.png", "truncated")
    if ending == "csv":
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["abstained"] for row in rows] == ["true", "false", ""]
    else:
        rows = (
            [json.loads(line) for line in path.read_text().splitlines()]
            if ending == "jsonl"
            else pq.read_table(path).to_pylist()
        )
        assert [row["abstained"] for row in rows] == [True, False, None]
    assert list(rows[0]) == ["id", "abstained", "label_1", "probability_1", "error"]
    assert rows[0]["label_1"] == ("bee" if answers_all else rows[2]["label_1"])
    assert float(rows[0]["probability_1"]) == 0.5
    assert rows[1]["label_1"] == "c,\n"


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_sets_of_labels_have_a_column_for_each(ending: str, tmp_path: Path) -> None:
    """All probabilities, and the labels above one half: a list, or a cell with separators."""
    path = tmp_path / f"p.{ending}"
    shares = np.array([[0.7, 0.9, 0.5], [0.1, 0.2, 0.3]])
    with prediction_writer(path, io.BytesIO(), ("ant", "bee", "cat"), several=True) as writer:
        writer.write(IDS, shares)
        writer.reject(b"bad.png", "truncated")
    if ending == "parquet":
        rows = pq.read_table(path).to_pylist()
    elif ending == "jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = list(csv.DictReader(file))
    columns = ["id", "labels", "probability_ant", "probability_bee", "probability_cat", "error"]
    assert [list(row) for row in rows] == [columns] * 3
    expected = ["ant|bee", "|", ""] if ending == "csv" else [["ant", "bee"], [], None]
    assert [row["labels"] for row in rows] == expected
    assert [float(row["probability_cat"]) for row in rows[:2]] == [0.5, 0.3]


def test_sets_of_labels_are_not_ranked(tmp_path: Path) -> None:
    """The best few of a set are asked for in vain."""
    path = tmp_path / "p.csv"
    with (
        pytest.raises(UsageError, match="none is ranked"),
        prediction_writer(path, io.BytesIO(), CLASSES, top=2, several=True),
    ):
        pass
    assert not path.exists()
