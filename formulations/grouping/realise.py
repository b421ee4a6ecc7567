"""A grouping with given pieces of rows, or none found (``README.md``, section Realisation).

A plan says how many OUs every group has in each row it touches, how many columns it may touch, and how each row is
shared out. Which row a piece lies in, and which columns it takes, is sought here, without a solver.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from formulations.grouping.profile import Pattern
from spatem_opt.grouping.problem import Solution, from_labels

WORK = 1_000_000
"""Pieces looked at to get rid of cycles, about a second."""
ROUNDS = 20
"""Most times that columns of a row are sought, on average."""


@dataclass(frozen=True, slots=True)
class Plan:
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
class Pieces:
    """Pieces with the group and the row of each, as a graph whose nodes are groups and rows.

    Parameters
    ----------
    size, group, row : list of int
        Of every piece.
    """

    size: list[int]
    group: list[int]
    row: list[int]
    alike: dict[int, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for piece, size in enumerate(self.size):
            self.alike.setdefault(size, []).append(piece)

    def closing(self) -> list[int]:
        """Pieces that close a cycle, if they are joined in turn; a group twice in a row is the shortest cycle."""
        rows = max(self.row) + 1
        root = list(range(rows + max(self.group) + 1))

        def find(node: int) -> int:
            while root[node] != node:
                root[node] = root[root[node]]
                node = root[node]
            return node

        closing = []
        for piece, (row, group) in enumerate(zip(self.row, self.group, strict=True)):
            first, second = find(row), find(rows + group)
            if first == second:
                closing.append(piece)
            root[first] = second
        return closing

    @property
    def doubled(self) -> int:
        """Pieces that lie in a row in which their group has another one."""
        return len(self.row) - len(set(zip(self.group, self.row, strict=True)))


def realise(plan: Plan, rng: random.Random) -> Solution | None:
    """A grouping whose groups touch no more rows and columns than planned, or None: there may be one all the same."""
    pieces = untangled(plan, rng)
    return None if pieces.doubled else Layout(plan, pieces).fill(rng)


@dataclass(slots=True)
class Layout:
    """Columns of pieces, row by row.

    Parameters
    ----------
    plan : Plan
    pieces : Pieces
    own, fellows : lists
        Pieces of every row, and of every group.
    cols : dict of piece to set of int
        Columns found so far.
    """

    plan: Plan
    pieces: Pieces
    own: list[list[int]] = field(default_factory=list)
    fellows: list[list[int]] = field(default_factory=list)
    cols: dict[int, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.own, self.fellows = [[] for _ in self.plan.lines], [[] for _ in self.plan.groups]
        for piece, (group, row) in enumerate(zip(self.pieces.group, self.pieces.row, strict=True)):
            self.own[row].append(piece)
            self.fellows[group].append(piece)

    def fill(self, rng: random.Random) -> Solution | None:
        """All columns of all pieces; a row that has no way takes the columns away from those it shares groups with."""
        waiting = deque(in_reach(self.pieces, len(self.plan.lines), rng))
        for _ in range(ROUNDS * len(waiting)):
            if not waiting:
                break
            row = waiting.popleft()
            if not self._share(row, rng):
                others = {self.pieces.row[p] for piece in self.own[row] for p in self._fellows(piece) if p in self.cols}
                for other in others:
                    for piece in self.own[other]:
                        del self.cols[piece]
                waiting.extendleft(rng.sample(sorted(others), len(others)))
                self._share(row, rng)
        return None if waiting else self._solution()

    def _fellows(self, piece: int) -> list[int]:
        """The pieces of a piece's group."""
        return self.fellows[self.pieces.group[piece]]

    def _share(self, row: int, rng: random.Random) -> bool:
        """Share the columns of a row out; False if there is no way."""
        own = self.own[row]
        known = [set().union(*(self.cols.get(p, ()) for p in self._fellows(piece))) for piece in own]
        most = [self.plan.groups[self.pieces.group[piece]][0] for piece in own]
        fresh = [limit - len(cols) for limit, cols in zip(most, known, strict=True)]
        share = Share([self.pieces.size[piece] for piece in own], known, fresh)
        if not share.fill(self.plan.length, rng):
            return False
        self.cols.update(zip(own, share.taken, strict=True))
        return True

    def _solution(self) -> Solution:
        labels = np.full((len(self.plan.lines), self.plan.length), -1, dtype=np.int64)
        for piece, cols in self.cols.items():
            labels[self.pieces.row[piece], list(cols)] = self.pieces.group[piece]
        return from_labels(labels)


def untangled(plan: Plan, rng: random.Random) -> Pieces:
    """Every piece of a row given to a group, with few cycles in the graph of groups and rows.

    Without cycles columns can always be found: a row has at most one group whose columns are known already. Pieces of
    one size are exchanged while that does not add cycles.
    """
    offered = [(size, group) for group, (_, pattern) in enumerate(plan.groups) for size in pattern]
    needed = [(size, row) for row, line in enumerate(plan.lines) for size in line]
    for pieces in (offered, needed):
        rng.shuffle(pieces)
        pieces.sort(key=lambda piece: -piece[0])
    joined = list(zip(needed, offered, strict=False))
    found = Pieces([n[0] for n, _ in joined], [o[1] for _, o in joined], [n[1] for n, _ in joined])
    closing = found.closing()
    for _ in range(WORK // len(needed)):
        least = len(found.row) - len(plan.lines) - len(set(found.group)) + 1
        if len(closing) <= max(0, least) and not found.doubled:
            break
        first = rng.choice(closing)
        second = rng.choice(found.alike[found.size[first]])
        before = len(closing) + 10 * found.doubled
        found.row[first], found.row[second] = found.row[second], found.row[first]
        after = found.closing()
        if len(after) + 10 * found.doubled <= before:
            closing = after
        else:
            found.row[first], found.row[second] = found.row[second], found.row[first]
    return found


def in_reach(pieces: Pieces, rows: int, rng: random.Random) -> list[int]:
    """Rows in an order in which each shares a group with one before, if there is such a row."""
    groups_of: list[list[int]] = [[] for _ in range(rows)]
    rows_of: dict[int, list[int]] = {}
    for row, group in zip(pieces.row, pieces.group, strict=True):
        groups_of[row].append(group)
        rows_of.setdefault(group, []).append(row)
    order, seen = [], set[int]()
    for start in rng.sample(range(rows), rows):
        waiting = deque([start])
        while waiting:
            row = waiting.popleft()
            if row not in seen:
                seen.add(row)
                order.append(row)
                waiting.extend(other for group in groups_of[row] for other in rows_of[group])
    return order


@dataclass(slots=True)
class Share:
    """The columns of one row, shared out by augmenting paths.

    Parameters
    ----------
    size : list of int
        Columns that a piece takes.
    known : list of set of int
        Columns that the piece's group touches already.
    fresh : list of int
        Most other columns that the piece may take.
    """

    size: list[int]
    known: list[set[int]]
    fresh: list[int]
    taken: list[set[int]] = field(default_factory=list)

    def fill(self, length: int, rng: random.Random) -> bool:
        """Give every column to a piece; False if there is no way."""
        self.taken = [set() for _ in self.size]
        cols = rng.sample(range(length), length)
        cols.sort(key=lambda col: -sum(col in known for known in self.known))
        return all(self._place(col, set()) for col in cols)

    def _place(self, col: int, tried: set[tuple[int, bool]]) -> bool:
        """Give a column to a piece that has room, or makes room by giving up another column."""
        pieces = sorted(range(len(self.size)), key=lambda piece: col not in self.known[piece])
        for piece in pieces:
            new = col not in self.known[piece]
            if (piece, new) in tried:
                continue
            fresh = self.taken[piece] - self.known[piece]
            tight = new and len(fresh) >= self.fresh[piece]
            if not tight and len(self.taken[piece]) < self.size[piece]:
                self.taken[piece].add(col)
                return True
            tried.add((piece, new))
            for other in list(fresh if tight else self.taken[piece]):
                self.taken[piece].discard(other)
                self.taken[piece].add(col)
                if self._place(other, tried):
                    return True
                self.taken[piece].discard(col)
                self.taken[piece].add(other)
        return False
