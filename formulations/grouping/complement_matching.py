"""Which groups share which row, given the pieces of groups and of rows (``README.md``, section Realisation)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from formulations.grouping.patterns import Pattern

MENDS = 1_000
"""Exchanges tried to part pieces of one group in one row."""


@dataclass(frozen=True, slots=True)
class PatternPlan:
    """Pieces of rows.

    Parameters
    ----------
    length : int
        OUs of a row.
    groups : tuple of (most, pattern)
        Most columns of a group, and OUs per row it touches.
    lines : tuple of Pattern
        Pieces of every row; of at least k OUs there are no more than groups have.
    """

    length: int
    groups: tuple[tuple[int, Pattern], ...]
    lines: tuple[Pattern, ...]


@dataclass(slots=True)
class RowPieces:
    """Pieces of rows with the group and the row of each.

    Parameters
    ----------
    size, group, row : list of int
        Of every piece.
    most : list of int
        OUs that the group has for it, at least its size: other pieces of the row may have less if it has more.
    """

    size: list[int]
    group: list[int]
    row: list[int]
    most: list[int]

    def doubled(self, own: list[int]) -> list[int]:
        """Of some pieces those that lie in a row in which one before has the same group."""
        seen, found = set[tuple[int, int]](), []
        for piece in own:
            place = self.group[piece], self.row[piece]
            if place in seen:
                found.append(piece)
            seen.add(place)
        return found

    def exchange(self, first: int, second: int) -> None:
        """Exchange the rows of two pieces."""
        self.row[first], self.row[second] = self.row[second], self.row[first]


def match_complements(plan: PatternPlan, rng: random.Random) -> RowPieces | None:
    """Every piece of a row given to a group, none of them two of a row; None if that is not found.

    Groups that share rows of two complement each other there, so these rows are dealt out such that few sets of columns
    occur (:class:`_Rings`); the others at random.
    """
    pieces = _joined(plan, rng)
    two = [piece for piece, row in enumerate(pieces.row) if len(plan.lines[row]) == 2]
    more = [piece for piece, row in enumerate(pieces.row) if len(plan.lines[row]) > 2]
    _Rings(plan, pieces, two, rng).deal()
    return pieces if _parted(pieces, two, rng) and _parted(pieces, more, rng) else None


def _joined(plan: PatternPlan, rng: random.Random) -> RowPieces:
    """Pieces given to groups at random: the largest ones to those that have as many."""
    offered = [(size, group) for group, (_, pattern) in enumerate(plan.groups) for size in pattern]
    needed = [(size, row) for row, line in enumerate(plan.lines) for size in line]
    for pieces in (offered, needed):
        rng.shuffle(pieces)
        pieces.sort(key=lambda piece: -piece[0])
    joined = list(zip(needed, offered, strict=False))
    (size, row), (most, group) = (zip(*pairs, strict=True) for pairs in zip(*joined, strict=True))
    return RowPieces(list(size), list(group), list(row), list(most))


RingSide = dict[int, list[int]]
"""Pieces that face none yet, of groups on one side, by size."""


@dataclass(slots=True)
class _Rings:
    """Deals out rows of two, so that groups on two sides face each other, in rings as short as can be.

    Parameters
    ----------
    plan : PatternPlan
    pieces : RowPieces
        Whose rows are dealt out anew.
    own : list of int
        Pieces in rows of two.
    rng : random.Random
    """

    plan: PatternPlan
    pieces: RowPieces
    own: list[int]
    rng: random.Random
    of: dict[int, list[int]] = field(default_factory=dict)
    """Pieces of every group that is on no side yet."""
    fresh: RingSide = field(default_factory=dict)
    """The same by size."""
    rows: dict[int, list[int]] = field(default_factory=dict)
    """Rows that are not dealt out yet, by their smaller piece."""

    def __post_init__(self) -> None:
        for piece in self.rng.sample(self.own, len(self.own)):
            self.of.setdefault(self.pieces.group[piece], []).append(piece)
            self.fresh.setdefault(self.pieces.size[piece], []).append(piece)
        for row in {self.pieces.row[piece] for piece in self.own}:
            self.rows.setdefault(min(self.plan.lines[row]), []).append(row)

    def deal(self) -> None:
        """Ring by ring, until no group is left."""
        for group in list(self.of):
            if group in self.of:
                self._ring(group)

    def _ring(self, group: int) -> None:
        """Groups from one on, as long as any of their pieces faces none."""
        sides: tuple[RingSide, RingSide] = ({}, {})
        self._enter(group, sides[0])
        while any(sides[0].values()) or any(sides[1].values()):
            if not self._close(sides):
                self._widen(sides)

    def _enter(self, group: int, side: RingSide) -> None:
        """A group on a side, with all its pieces."""
        for piece in self.of.pop(group):
            self.fresh[self.pieces.size[piece]].remove(piece)
            side.setdefault(self.pieces.size[piece], []).append(piece)

    def _close(self, sides: tuple[RingSide, RingSide]) -> bool:
        """Two groups of either side face each other, if there are any."""
        for size, pieces in sides[0].items():
            others = sides[1].get(self.plan.length - size)
            if pieces and others:
                self._face(pieces.pop(), others.pop())
                return True
        return False

    def _widen(self, sides: tuple[RingSide, RingSide]) -> None:
        """A piece faces a group that is on no side yet, alike if possible; if there is none, one of its own side."""
        near, far = sides if any(sides[0].values()) else sides[::-1]
        size, pieces = next((size, pieces) for size, pieces in near.items() if pieces)
        piece, facing = pieces.pop(0), self.plan.length - size
        if self.fresh.get(facing):
            groups, own = self.plan.groups, self.plan.groups[self.pieces.group[piece]]
            alike = (p for p in self.fresh[facing] if groups[self.pieces.group[p]] == own)
            other = next(alike, self.fresh[facing][-1])
            self._enter(self.pieces.group[other], far)
            far[facing].remove(other)
        else:
            other = near[facing].pop()  # there are as many pieces of either size
        self._face(piece, other)

    def _face(self, piece: int, other: int) -> None:
        row = self.rows[min(self.pieces.size[piece], self.pieces.size[other])].pop()
        self.pieces.row[piece] = self.pieces.row[other] = row


def _parted(pieces: RowPieces, own: list[int], rng: random.Random) -> bool:
    """Exchange rows of some pieces of one size until no two of a group are in one row; whether that was achieved."""
    doubled = pieces.doubled(own)
    alike: dict[int, list[int]] = {}
    for piece in own:
        alike.setdefault(pieces.size[piece], []).append(piece)
    for _ in range(MENDS):
        if not doubled:
            break
        first = rng.choice(doubled)
        second = rng.choice(alike[pieces.size[first]])
        pieces.exchange(first, second)
        after = pieces.doubled(own)
        if len(after) <= len(doubled):
            doubled = after
        else:
            pieces.exchange(first, second)
    return not doubled
