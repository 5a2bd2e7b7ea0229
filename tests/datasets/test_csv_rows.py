"""Reading CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcache.datasets.columns import Columns
from embedcache.datasets.csv_rows import open_csv
from embedcache.errors import EmbedcacheError, SourceError

Table = Callable[..., Path]


def read(path: Path) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
    """Header and all rows of the first four columns."""
    with open_csv(path) as rows:
        present = [i if i < len(rows.header) else None for i in range(4)]
        return rows.header, [(line, list(cells)) for line, cells in rows.select(Columns(*present))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_delimiters_line_ends_and_byte_order_marks(
    table: Table, delimiter: str, end: str, mark: str
) -> None:
    """Every usual way to write the same table reads the same."""
    text = mark + "".join(
        delimiter.join(row) + end for row in [("path", "label"), ("a.jpg", "x"), ("b.jpg", "")]
    )
    header, rows = read(table(text))
    assert header == ("path", "label")
    assert rows == [(2, ["a.jpg", "x", "", ""]), (3, ["b.jpg", "", "", ""])]


def test_the_last_line_needs_no_end(table: Table) -> None:
    """A file without a final line end loses nothing."""
    assert read(table("path\na.jpg"))[1] == [(2, ["a.jpg", "", "", ""])]


def test_the_delimiter_is_found_outside_of_quotes(table: Table) -> None:
    """A quoted header cell may hold the other delimiters."""
    header, _ = read(table('"a,b,c,d";path\n1;2\n'))
    assert header == ("a,b,c,d", "path")


def test_a_plain_list_needs_no_quotes(table: Table) -> None:
    """Under a header of one column, a comma or semicolon belongs to the name."""
    assert read(table('path\na, b;c.jpg\n"d"".jpg"\n'))[1] == [
        (2, ["a, b;c.jpg", "", "", ""]),
        (3, ['d".jpg', "", "", ""]),
    ]


def test_lines_are_counted_through_blank_lines_and_quoted_line_ends(table: Table) -> None:
    """A row's place is the line that it begins on in the file, as an editor counts."""
    _, rows = read(table('\n\npath,label\n\n"a\nb.jpg","x\r\ny"\nc.jpg,z\n'))
    assert rows == [(5, ["a\nb.jpg", "x\r\ny", "", ""]), (8, ["c.jpg", "z", "", ""])]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n\r\n\n"])
def test_an_empty_file_is_an_error(table: Table, content: bytes) -> None:
    """Nothing, a byte-order mark alone or blank lines alone are no table."""
    with pytest.raises(SourceError, match="empty"):
        read(table(content))


@pytest.mark.parametrize("row", ["a.jpg", "a.jpg,x,y", "a.jpg,x,"])
def test_a_ragged_row_is_an_error(table: Table, row: str) -> None:
    """A row of another length than the header is named by its line."""
    with pytest.raises(SourceError, match=r"m\.csv, line 3") as caught:
        read(table(f"path,label\nb.jpg,x\n{row}\n"))
    assert caught.value.expected == "2 cells"


def test_bytes_that_are_not_utf8_are_an_error(table: Table) -> None:
    """The line and the byte are named; nothing is guessed."""
    with pytest.raises(SourceError, match=r"m\.csv, line 3") as caught:
        read(table(b"path,label\na.jpg,x\nb.jpg,caf\xe9\n"))
    assert caught.value.got == "byte 0xe9 at character 10"


def test_utf16_is_an_error_on_the_first_line(table: Table) -> None:
    """A spreadsheet's "Unicode text" is told how to be saved instead."""
    with pytest.raises(SourceError, match=r"m\.csv, line 1") as caught:
        read(table("path,label\n".encode("utf-16")))
    assert "UTF-8" in str(caught.value.hint)


@pytest.mark.parametrize("row", ['"a.jpg,x\nb.jpg,y\n', '"a".jpg,x\n', f"{'x' * 200_000},y\n"])
def test_malformed_quotes_and_endless_cells_are_errors(table: Table, row: str) -> None:
    """A quote that is never closed does not swallow the rest of the table."""
    with pytest.raises(SourceError, match=r"m\.csv, line 2"):
        read(table(f"path,label\n{row}"))


CELL = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["", '"', ",", ";", "\t", "\n", "\r\n", "\r", "a,b", "\0", "\x1f", "\ufeff"]
)


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=6
        )
    ),
    st.sampled_from(",;\t"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
def test_what_the_csv_module_writes_reads_back(
    rows: list[list[str]], delimiter: str, quoting: int
) -> None:
    """Any cells come back as they were, whatever the delimiter and the quoting."""
    header = [f"column{i}" for i in range(len(rows[0]))]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)
    writer.writerows([header, *rows])
    with TemporaryDirectory() as folder:
        path = Path(folder, "m.csv")
        path.write_text(text.getvalue(), "utf-8", newline="")
        got_header, got = read(path)
    assert list(got_header) == header
    assert [cells[: len(header)] for _, cells in got] == rows


@given(
    st.binary(max_size=60)
    | st.lists(
        st.sampled_from([b"path", b"a.jpg", b",", b";", b"\t", b'"', b"\n", b"\r", b"\xff", b"\0"]),
        max_size=25,
    ).map(b"".join)
)
def test_arbitrary_bytes_are_rows_or_an_error(content: bytes) -> None:
    """Whatever the file holds, nothing but our own error comes out."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "m.csv")
        path.write_bytes(content)
        try:
            header, rows = read(path)
        except EmbedcacheError:
            return
    assert header
    assert [line for line, _ in rows] == sorted({line for line, _ in rows})
