"""Columns for pieces whose rows and groups are given, by a tree decomposition (``README.md``, section Realisation).

Columns are alike: what counts is how many of them have which pieces. Numbers for small sets of pieces, each set
agreeing with the next on what they share, say that exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import networkx as nx
import numpy as np
from networkx.algorithms.approximation import treewidth_min_degree
from numpy.typing import NDArray

from formulations.grouping.complement_matching import PatternPlan, RowPieces
from formulations.grouping.program import Floats, Program
from spatem_opt.grouping.problem import GroupingSolution, from_labels

MOST = 4_000
"""Most values of a bag's variables; programs of a plan that has more would be large."""

Literal = tuple[int, bool]
"""A variable, and whether it is negated: whether a column belongs to a lot of pieces, or to any of a group."""
States = NDArray[np.bool_]


@dataclass(slots=True)
class Literals:
    """What holds for every single column: Boolean variables, those that must be equal or opposite made one.

    Parameters
    ----------
    plan : PatternPlan
    pieces : RowPieces
    lots : list of tuple of int
        Pieces that count as one: those of a row whose groups have no others, or a single one.
    most : dict of literal to int
        Most columns for which it is true.
    rules : list of (literals, bool)
        Of which at most one is true, or exactly one: a column of a row belongs to one lot; it is not a lot's and none
        of its group's.
    consistent : bool
        False: some variable would have to be its own opposite.
    """

    plan: PatternPlan
    pieces: RowPieces
    lots: list[tuple[int, ...]] = field(default_factory=list)
    most: dict[Literal, int] = field(default_factory=dict)
    rules: list[tuple[tuple[Literal, ...], bool]] = field(default_factory=list)
    consistent: bool = True
    _root: dict[int, Literal] = field(default_factory=dict)
    _about: dict[int, list[tuple[tuple[Literal, ...], bool]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        groups, rows = self._gathered()
        for own in rows:
            if len(own) == 2:
                self._unite(own[0], own[1], opposite=True)
        tight = [sum(sum(self.room(lot)) for lot in own) == self.plan.length for own in rows]
        for group, own in groups.items():
            for lot in own:
                full = sum(self.room(lot)) == self.plan.groups[group][0]
                if full and tight[self.pieces.row[self.lots[lot][0]]]:
                    self._unite(lot, len(self.lots) + group, opposite=False)
        for group, own in groups.items():
            variable, negated = self.find(len(self.lots) + group)
            inside = [self.find(lot) for lot in own]
            self.rules += [((lot, (variable, not negated)), False) for lot in inside if lot != (variable, negated)]
            self._limit(len(self.lots) + group, self.plan.groups[group][0])
        for lot in range(len(self.lots)):
            self._limit(lot, sum(self.room(lot)))
        self.rules += [(tuple(self.find(lot) for lot in own), True) for own in rows if len(own) != 2]
        for literals, exactly in self.rules:
            for variable, _ in literals:
                self._about.setdefault(variable, []).append((literals, exactly))

    def _gathered(self) -> tuple[dict[int, list[int]], list[list[int]]]:
        """Make the lots; those of every group with several, and of every row."""
        pieces = self.pieces
        several = {group for group, number in Counter(pieces.group).items() if number > 1}
        rows: list[list[int]] = [[] for _ in self.plan.lines]
        for piece, row in enumerate(pieces.row):
            rows[row].append(piece)
        groups: dict[int, list[int]] = {group: [] for group in sorted(several)}
        for row, own in enumerate(rows):
            lone = tuple(piece for piece in own if pieces.group[piece] not in several)
            first = len(self.lots)
            for piece in own:
                if pieces.group[piece] in several:
                    groups[pieces.group[piece]].append(len(self.lots))
                    self.lots.append((piece,))
            self.lots += [lone] if lone else []
            rows[row] = list(range(first, len(self.lots)))
        return groups, rows

    def room(self, lot: int) -> list[int]:
        """Most columns of every piece of a lot, whatever its group touches elsewhere."""
        pieces, groups = self.pieces, self.plan.groups
        return [min(pieces.most[piece], groups[pieces.group[piece]][0]) for piece in self.lots[lot]]

    def _limit(self, variable: int, most: int) -> None:
        literal = self.find(variable)
        self.most[literal] = min(most, self.most.get(literal, most))

    def find(self, variable: int) -> Literal:
        """What a variable is made one with."""
        root, negated = self._root.get(variable, (variable, False))
        if root != variable:
            further, more = self.find(root)
            root, negated = self._root[variable] = further, negated != more
        return root, negated

    def _unite(self, first: int, second: int, *, opposite: bool) -> None:
        (one, negated), (two, too) = self.find(first), self.find(second)
        if one == two:
            self.consistent &= (negated != too) == opposite
        else:
            self._root[one] = two, (negated != too) != opposite

    def graph(self) -> nx.Graph:
        """Variables, joined if a constraint knows both."""
        graph = nx.Graph()
        graph.add_nodes_from(variable for variable, _ in self.most)
        for literals, _ in self.rules:
            graph.add_edges_from(combinations({variable for variable, _ in literals}, 2))
        return graph

    def states(self, bag: tuple[int, ...]) -> States | None:
        """All values of a bag's variables that the rules allow, shape (states, variables); None if they are many."""
        at = {variable: k for k, variable in enumerate(bag)}
        found = np.zeros((1, 0), dtype=np.bool_)
        for k, variable in enumerate(bag):
            value = np.arange(2 * len(found))[:, None] >= len(found)
            found = np.hstack([np.tile(found, (2, 1)), value])
            for literals, exactly in self._about.get(variable, ()):
                known = [(at[v], negated) for v, negated in literals if at.get(v, len(bag)) <= k]
                true = sum(found[:, j] ^ negated for j, negated in known)
                found = found[true == 1 if exactly and len(known) == len(literals) else true <= 1]
            if len(found) > MOST:
                return None
        return found


@dataclass(slots=True)
class TreeColumns:
    """How many columns have which pieces, as an integer program.

    Parameters
    ----------
    literals : Literals
    bags : list of tuple of int
        Variables of every bag, each one after the bag it hangs on.
    parent : list of int
        That bag; -1: none.
    states : list of bool array
    program : Program
        Numbers of columns per state of every bag.
    """

    literals: Literals
    bags: list[tuple[int, ...]]
    parent: list[int]
    states: list[States]
    program: Program = field(default_factory=Program)

    def __post_init__(self) -> None:
        length, home = self.literals.plan.length, dict[int, int]()
        for number, bag in enumerate(self.bags):
            self._equal(("columns", number), length)
            for variable in bag:
                home.setdefault(variable, number)
        for number, parent in enumerate(self.parent):
            shared = self._shared(number)
            for end in (number, parent) if parent >= 0 else ():
                for key in set(self._keys(end, shared)):
                    self._equal(("shared", number, key), 0)
        for literal, most in self.literals.most.items():
            self.program.add_row(literal, length * literal[1] - most)
        for number in range(len(self.bags)):
            for entries in self._entries(number, home):
                self.program.add(0, entries, integer=True)

    def _equal(self, key: Hashable, value: int) -> None:
        """An equation, as two constraints."""
        if (key, 1) not in self.program.rows:
            self.program.add_row((key, 1), value)
            self.program.add_row((key, -1), -value)

    def _shared(self, number: int) -> list[int]:
        """Variables that a bag shares with the one it hangs on."""
        return [] if self.parent[number] < 0 else sorted(set(self.bags[number]) & set(self.bags[self.parent[number]]))

    def _keys(self, number: int, variables: list[int]) -> list[bytes]:
        """Values of some variables in every state of a bag."""
        at = [self.bags[number].index(variable) for variable in variables]
        return [state.tobytes() for state in self.states[number][:, at]]

    def _entries(self, number: int, home: dict[int, int]) -> Iterator[dict[Hashable, int]]:
        """Coefficients of every state of a bag."""
        below = [child for child, parent in enumerate(self.parent) if parent == number]
        joints = [(child, -1, self._keys(number, self._shared(child))) for child in below]
        joints += [(number, 1, self._keys(number, self._shared(number)))] if self.parent[number] >= 0 else []
        own = {variable for variable in self.bags[number] if home[variable] == number}
        for k, state in enumerate(self.states[number]):
            true = {variable for variable, value in zip(self.bags[number], state, strict=True) if value}
            entries: dict[Hashable, int] = {}
            for key, value in (("columns", number), 1), *((("shared", child, keys[k]), s) for child, s, keys in joints):
                entries |= {(key, sign): sign * value for sign in (1, -1)}
            yield entries | {(variable, negated): 1 if negated else -1 for variable in true & own for negated in (0, 1)}

    def read(self, value: Floats) -> GroupingSolution:
        """The grouping of a solution: columns that agree on what two bags share are any of the other's."""
        plan, pieces = self.literals.plan, self.literals.pieces
        first = np.cumsum([0, *(len(states) for states in self.states)])
        table: dict[int, States] = {}
        for number, states in enumerate(self.states):
            times = np.rint(value[first[number] : first[number + 1]]).astype(np.int64)
            made, shared = np.repeat(states, times, axis=0), self._shared(number)
            at = [self.bags[number].index(variable) for variable in shared]
            rank = np.empty(plan.length, dtype=np.int64)
            rank[_order([table[variable] for variable in shared], plan.length)] = _order(made[:, at].T, plan.length)
            table |= dict(zip(self.bags[number], made[rank].T, strict=True))
        labels = np.full((len(plan.lines), plan.length), -1, dtype=np.int64)
        for lot, members in enumerate(self.literals.lots):
            variable, negated = self.literals.find(lot)
            (cols,) = (table[variable] ^ negated).nonzero()
            groups = np.repeat([pieces.group[piece] for piece in members], self.literals.room(lot))
            labels[pieces.row[members[0]], cols] = groups[: len(cols)]
        return from_labels(labels)


def _order(values: Sequence[States] | States, number: int) -> NDArray[np.int64]:
    """An order of columns by their values, if they have any."""
    return np.lexsort(values) if len(values) else np.arange(number)


def columns(plan: PatternPlan, pieces: RowPieces) -> TreeColumns | None:
    """The program whose solutions are all groupings of such pieces; None if there are none, or it would be large."""
    literals = Literals(plan, pieces)
    if not literals.consistent:
        return None
    _, tree = treewidth_min_degree(literals.graph())
    bags, parent, index = list[tuple[int, ...]](), list[int](), dict[frozenset[int], int]()
    for start in tree.nodes:
        if start not in index:
            for above, bag in [(None, start), *nx.bfs_edges(tree, start)]:
                index[bag] = len(bags)
                bags.append(tuple(sorted(bag)))
                parent.append(-1 if above is None else index[above])
    states, number = list[States](), 0
    for bag in bags:
        allowed = literals.states(bag)
        number += MOST if allowed is None else len(allowed)
        if allowed is None or number > MOST:
            return None
        states.append(allowed)
    return TreeColumns(literals, bags, parent, states)
