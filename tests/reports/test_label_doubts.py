"""Labels in doubt as a file and as text."""

import csv
import io
import os
from dataclasses import replace

import materials

from embedcache.heads.row_records import LabelDoubt, LabelDoubts
from embedcache.reports.label_doubts import doubt_lines, doubts_csv, mark_doubt_lines

ODD = LabelDoubt(3, os.fsdecode(b'caf\xe9 "x",\n.png'), "cat", "dog", 0.97, 0.01, True, False)
PLAIN = LabelDoubt(9, "b.png", "dog", "hen", 0.9, 0.05, False, True)


def test_the_file_keeps_names_byte_by_byte() -> None:
    """A header and one line for each, quoted where that is needed."""
    data = doubts_csv([ODD, PLAIN])
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline="")))
    assert [row["id"] for row in rows] == [ODD.id, "b.png"]
    assert rows[0]["suggested"] == "dog"
    assert float(rows[0]["self_confidence"]) == 0.01
    assert (rows[1]["trained"], rows[1]["judged"]) == ("no", "yes")


def test_the_text_counts_and_names_the_first() -> None:
    """Training and judged labels, and where the others are; a cross-validation has one count."""
    report = replace(materials.material().report, label_doubts=LabelDoubts(1, 1, (ODD, PLAIN)))
    lines = doubt_lines(report, 80)
    assert max(map(len, lines)) <= 80
    assert lines[0] == "1 of 300 training labels and 1 of 300 judged labels look doubtful"
    assert lines[3].split() == ["b.png", "dog", "5.0", "%", "hen", "90.0", "%"]
    assert "label-doubts.csv" in lines[-1]
    crossed = replace(report, split=replace(report.split, folds=5))
    assert doubt_lines(crossed, 80)[0] == "1 of 300 training labels look doubtful"
    none = replace(report, label_doubts=LabelDoubts(0, 0, ()))
    assert len(doubt_lines(none, 80)) == 1


def test_marks_in_doubt_say_whether_the_row_has_the_label() -> None:
    """In the file, and in lines of at most 80 cells."""
    report = materials.marked_material().report
    listed = report.label_doubts.listed
    data = doubts_csv(listed, several=True).decode()
    rows = list(csv.DictReader(io.StringIO(data, newline="")))
    assert list(rows[0]) == ["id", "label", "labelled", "probability", "trained", "judged"]
    assert [row["labelled"] for row in rows] == ["yes", "no", "no"]
    lines = mark_doubt_lines(report, 80)
    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["3.png", "cat", "yes", "10.0", "%"] for line in lines)
    none = replace(report, label_doubts=replace(report.label_doubts, listed=()))
    assert not any("3.png" in line for line in mark_doubt_lines(none, 80))
