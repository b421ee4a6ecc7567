"""Tables that fit the terminal: no number is cut, columns are left out as a whole and named."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from spatem_opt.report.grid import Column, Line, TextTable, layout, left_out, to_rich

NUMBERS = re.compile(r"\d[\d,.]*")


def printed(grid: TextTable, width: int | None) -> str:
    """What a terminal of that width gets, without colours."""
    chosen = layout(grid, width)
    console = Console(width=10_000 if width is None else width, color_system=None, force_terminal=True)
    with console.capture() as captured:
        console.print(to_rich(grid, chosen), crop=False)
    return captured.get()


@st.composite
def grids(draw: st.DrawFn) -> TextTable:
    """Up to six columns of any kind, with numbers of up to 16 digits in all of them."""
    kinds = draw(st.lists(st.sampled_from(["number", "text"]), min_size=1, max_size=6))
    columns = tuple(
        Column(f"head {i}", kind, 0 if i == 0 else draw(st.integers(0, 3)), right=draw(st.booleans()))  # type: ignore[arg-type]
        for i, kind in enumerate(kinds)
    )
    number = st.integers(0, 10**16).map("{:,}".format)
    words = st.lists(st.one_of(number, st.sampled_from(["of", "crossbars", "[bold]"])), min_size=1, max_size=5)
    cells = [number if kind == "number" else words.map(" ".join) for kind in kinds]
    lines = draw(st.lists(st.tuples(*cells).map(lambda row: Line(tuple(row))), min_size=1, max_size=4))
    return TextTable(columns, tuple(lines))


@given(grids(), st.integers(10, 120))
def test_every_number_of_a_shown_column_is_whole(grid: TextTable, width: int) -> None:
    chosen = layout(grid, width)
    text = printed(grid, width)
    wanted = [n for line in grid.lines for i in chosen.shown for n in NUMBERS.findall(line.cells[i])]
    assert set(wanted) <= set(NUMBERS.findall(text))
    assert "…" not in text
    assert "..." not in text


@given(grids(), st.integers(10, 120))
def test_no_line_is_longer_than_the_terminal_unless_what_must_be_there_is(grid: TextTable, width: int) -> None:
    chosen = layout(grid, width)
    assert max(map(cell_len, printed(grid, width).splitlines())) == chosen.width
    assert chosen.width <= width or all(grid.columns[i].rank == 0 for i in chosen.shown)


@given(grids(), st.integers(10, 120))
def test_a_wider_terminal_shows_no_fewer_columns(grid: TextTable, width: int) -> None:
    assert len(layout(grid, width).shown) <= len(layout(grid, width + 30).shown) or width < 40


@given(grids(), st.integers(10, 120))
def test_what_is_left_out_is_named_and_only_that(grid: TextTable, width: int) -> None:
    chosen = layout(grid, width)
    said = left_out(grid, chosen)
    assert [column.head in said for column in grid.columns] == [
        i not in chosen.shown for i in range(len(grid.columns))
    ]  # fmt: skip


@given(grids())
def test_a_pipe_gets_every_cell_on_one_line(grid: TextTable) -> None:
    lines = [" ".join(line.split()) for line in printed(grid, None).splitlines()]
    assert all(" ".join(" ".join(line.cells).split()) in lines for line in grid.lines)


def test_ranks_by_hand() -> None:
    """Edges 2, gaps 2. Name 8, a 5, b 5: with both 2 + 8 + 2 + 5 + 2 + 5 = 24, with one 17."""
    columns = Column("name", right=False), Column("a", rank=2), Column("b", rank=1)
    grid = TextTable(columns, (Line(("resnet50", "1,000", "2,000")),))
    assert layout(grid, 26).shown == (0, 1, 2)
    assert (layout(grid, 24).shown, layout(grid, 24).gap) == ((0, 1, 2), 2)
    assert layout(grid, 23).shown == (0, 2)
    assert layout(grid, 16).shown == (0,)
    assert left_out(grid, layout(grid, 16)) == "Left out, as the terminal is narrow: a; b."


@pytest.mark.parametrize("name", ["ou-isaac [ou_rows=16]", "res[/x]", "[bold]x[/]", ":smile:", "a\x1b[31mb", "a\nb"])
def test_names_are_shown_as_they_are(name: str) -> None:
    text = printed(TextTable((Column("name", "name", right=False),), (Line((name,)),)), 80)
    assert name.encode("unicode_escape").decode() in text
