"""Tables that never cut a number: where the terminal is too narrow, texts wrap and whole columns are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from spatem_opt.files.names import visible

NARROWEST = 12
"""Texts and names are not made narrower than this."""
EDGES = 2
"""Cells that the frame takes, left and right together."""
GAPS = (3, 2)
"""Cells between columns: the second where that saves a column."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a :class:`TextTable`.

    Parameters
    ----------
    head : str
        May have several lines.
    kind : {"number", "text", "name"}
        A ``number`` stays on one line; a ``text`` wraps at spaces, and no word with a digit in it is ever broken; a
        ``name`` may be broken anywhere.
    rank : int
        Columns of low rank are kept first; those of rank 0 are never left out.
    right : bool
        Whether the cells stand at the right.
    """

    head: str
    kind: Literal["number", "text", "name"] = "number"
    rank: int = 0
    right: bool = True

    @property
    def short(self) -> str:
        """The head on one line."""
        return " ".join(self.head.split("\n"))


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a :class:`TextTable`: its cells, whether a section ends after it, and its style."""

    cells: tuple[str, ...]
    ends: bool = False
    style: str | None = None


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table as plain text: what is in it, not how wide it is.

    Parameters
    ----------
    columns : tuple of Column
    lines : tuple of Line
        As many cells each as there are columns.
    title : str
    notes : tuple of str
        Sentences below the table.
    heads : bool
        Whether heads are shown.
    """

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    title: str = ""
    notes: tuple[str, ...] = ()
    heads: bool = True


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Which columns of a grid are shown, how wide each is, and how many cells lie between two of them."""

    shown: tuple[int, ...]
    widths: tuple[int, ...]
    gap: int

    @property
    def width(self) -> int:
        """Cells of the whole table."""
        return EDGES + sum(self.widths) + self.gap * (len(self.widths) - 1)


def layout(grid: TextTable, width: int | None) -> TableLayout:
    """Choose columns and their widths.

    Parameters
    ----------
    grid : TextTable
    width : int or None
        Cells of the terminal; None: as many as the table needs.

    Returns
    -------
    TableLayout
        Within `width`, unless the columns of rank 0 alone are wider: then these, as narrow as they can be.

    Examples
    --------
    >>> grid = TextTable((Column("name"), Column("cycles", rank=1)), (Line(("resnet50", "118,733")),))
    >>> layout(grid, None).width, layout(grid, 20).width, layout(grid, 18).shown
    (20, 20, (0,))
    """
    most = [_natural(grid, i) for i in range(len(grid.columns))]
    if width is None:
        return TableLayout(tuple(range(len(most))), tuple(most), GAPS[0])
    least = [_least(grid, i, natural) for i, natural in enumerate(most)]
    choices = [_choose(grid, least, gap, width) for gap in GAPS]
    shown, gap = max(zip(choices, GAPS, strict=True), key=lambda choice: (len(choice[0]), choice[1]))
    widths = {i: least[i] for i in shown}
    room = width - TableLayout(tuple(shown), tuple(widths.values()), gap).width
    for i in sorted(shown, key=lambda i: (grid.columns[i].rank, i)):
        more = max(0, min(room, most[i] - widths[i]))
        widths[i] += more
        room -= more
    return TableLayout(tuple(shown), tuple(widths[i] for i in shown), gap)


def left_out(grid: TextTable, chosen: TableLayout) -> str:
    """The sentence that says which columns are missing; empty if none is."""
    missing = [column.short for i, column in enumerate(grid.columns) if i not in chosen.shown]
    return f"Left out, as the terminal is narrow: {'; '.join(missing)}." if missing else ""


def to_rich(grid: TextTable, chosen: TableLayout) -> Table:
    """A grid as a table of rich, exactly ``chosen.width`` cells wide; nothing in it is taken for markup."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=chosen.gap < GAPS[0],
        show_header=grid.heads, width=chosen.width,
    )  # fmt: skip
    for i, width in zip(chosen.shown, chosen.widths, strict=True):
        column = grid.columns[i]
        table.add_column(
            Text(column.head), width=width, justify="right" if column.right else "left", overflow="fold",
            vertical="top", style="dim" if column.kind == "text" and column.rank else None,
        )  # fmt: skip
    for line in grid.lines:
        cells = [Text(visible(line.cells[i]), overflow="fold") for i in chosen.shown]
        table.add_row(*cells, end_section=line.ends, style=line.style)
    return table


def _cells(grid: TextTable, i: int) -> list[str]:
    """Everything that stands in a column, line by line."""
    heads = grid.columns[i].head.split("\n") if grid.heads else []
    return heads + [visible(line.cells[i]) for line in grid.lines]


def _natural(grid: TextTable, i: int) -> int:
    """Cells that a column takes if nothing in it wraps."""
    return max(map(cell_len, _cells(grid, i)), default=0)


def _least(grid: TextTable, i: int, natural: int) -> int:
    """Cells below which a column would have to break what must be whole."""
    kind = grid.columns[i].kind
    if kind == "number":
        return natural
    least = min(natural, NARROWEST)
    if kind == "name":
        return least
    words = [word for cell in _cells(grid, i) for word in cell.split() if any(c.isdigit() for c in word)]
    return max([least, *map(cell_len, words)])


def _choose(grid: TextTable, least: Sequence[int], gap: int, width: int) -> list[int]:
    """Columns in the order of their ranks, each if there is still room for it."""
    shown: list[int] = []
    used = EDGES - gap
    for i in sorted(range(len(least)), key=lambda i: (grid.columns[i].rank, i)):
        if grid.columns[i].rank == 0 or used + gap + least[i] <= width:
            shown.append(i)
            used += gap + least[i]
    return sorted(shown)
