"""Columns for pieces whose rows and groups are given, by a tree decomposition (``README.md``, section Realisation).

Columns are alike: what counts is how many of them have which pieces. Numbers for small sets of pieces, each set
agreeing with the next on what they share, say that exactly.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import networkx as nx
import numpy as np
from networkx.algorithms.approximation import treewidth_min_degree
from numpy.typing import NDArray

from formulations.grouping.facing import Pieces, Plan
from formulations.grouping.program import Floats, Program
from spatem_opt.grouping.problem import Solution, from_labels

WIDTH = 12
"""Most literals of a bag, less one."""

Literal = tuple[int, bool]
"""A variable, and whether it is negated: whether a column belongs to a piece, or to any of a group."""
States = NDArray[np.bool_]


@dataclass(slots=True)
class Literals:
    """What holds for every single column: Boolean variables, those that must be equal or opposite made one.

    Parameters
    ----------
    plan : Plan
    pieces : Pieces
    most : dict of literal to int
        Most columns for which it is true.
    implied : list of (literal, literal)
        The second is true where the first is: a column of a piece is one of its group's.
    one : list of tuple of literal
        Of which exactly one is true: a column of a row belongs to one piece.
    consistent : bool
        False: some variable would have to be its own opposite.
    """

    plan: Plan
    pieces: Pieces
    most: dict[Literal, int] = field(default_factory=dict)
    implied: list[tuple[Literal, Literal]] = field(default_factory=list)
    one: list[tuple[Literal, ...]] = field(default_factory=list)
    consistent: bool = True
    _root: dict[int, Literal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own: list[list[int]] = [[] for _ in self.plan.lines]
        fellows: list[list[int]] = [[] for _ in self.plan.groups]
        for piece, (group, row) in enumerate(zip(self.pieces.group, self.pieces.row, strict=True)):
            own[row].append(piece)
            fellows[group].append(piece)
        for pieces in own:
            if len(pieces) == 2:
                self._unite(pieces[0], pieces[1], opposite=True)
        tight = [sum(self.pieces.most[p] for p in pieces) == self.plan.length for pieces in own]
        groups = [(len(self.pieces.size) + g, pieces) for g, pieces in enumerate(fellows) if pieces]
        for group, pieces in groups:
            for piece in pieces:
                if len(pieces) == 1 or (tight[self.pieces.row[piece]] and self._full(piece)):
                    self._unite(piece, group, opposite=False)
        for group, pieces in groups:
            self.implied += [(self.find(p), self.find(group)) for p in pieces if self.find(p) != self.find(group)]
            self._limit(group, self.plan.groups[group - len(self.pieces.size)][0])
        for piece, most in enumerate(self.pieces.most):
            self._limit(piece, most)
        self.one = [tuple(self.find(piece) for piece in pieces) for pieces in own if len(pieces) != 2]

    def _full(self, piece: int) -> bool:
        """Whether a piece takes all columns that its group may touch, if none of its row takes less than it may."""
        return self.pieces.most[piece] == self.plan.groups[self.pieces.group[piece]][0]

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
        for literals in (*self.implied, *self.one):
            graph.add_edges_from(combinations({variable for variable, _ in literals}, 2))
        return graph

    def states(self, bag: tuple[int, ...]) -> States:
        """All values of a bag's variables that its constraints allow; shape (states, variables)."""
        at = {variable: k for k, variable in enumerate(bag)}
        every = (np.arange(1 << len(bag))[:, None] >> np.arange(len(bag)) & 1).astype(np.bool_)

        def values(literal: Literal) -> States:
            return np.asarray(every[:, at[literal[0]]] ^ literal[1])

        allowed = np.ones(len(every), dtype=np.bool_)
        for first, second in self.implied:
            if first[0] in at and second[0] in at:
                allowed &= values(second) | ~values(first)
        for literals in self.one:
            if all(variable in at for variable, _ in literals):
                allowed &= np.sum([values(literal) for literal in literals], axis=0) == 1
        return np.asarray(every[allowed])


@dataclass(slots=True)
class Columns:
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
    states: list[States] = field(default_factory=list)
    program: Program = field(default_factory=Program)

    def __post_init__(self) -> None:
        self.states = [self.literals.states(bag) for bag in self.bags]
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

    def read(self, value: Floats) -> Solution:
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
        for piece, (group, row) in enumerate(zip(pieces.group, pieces.row, strict=True)):
            variable, negated = self.literals.find(piece)
            labels[row, table[variable] ^ negated] = group
        return from_labels(labels)


def _order(values: Sequence[States] | States, number: int) -> NDArray[np.int64]:
    """An order of columns by their values, if they have any."""
    return np.lexsort(values) if len(values) else np.arange(number)


def columns(plan: Plan, pieces: Pieces) -> Columns | None:
    """The program whose solutions are all groupings of such pieces; None if there are none, or it would be large."""
    literals = Literals(plan, pieces)
    if not literals.consistent:
        return None
    width, tree = treewidth_min_degree(literals.graph())
    if width > WIDTH:
        return None
    bags, parent, index = list[tuple[int, ...]](), list[int](), dict[frozenset[int], int]()
    for start in tree.nodes:
        if start not in index:
            for above, bag in [(None, start), *nx.bfs_edges(tree, start)]:
                index[bag] = len(bags)
                bags.append(tuple(sorted(bag)))
                parent.append(-1 if above is None else index[above])
    return Columns(literals, bags, parent)
