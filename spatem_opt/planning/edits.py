"""Small changes of a segmentation: what improvement tries next to new segmentations.

A setting says how segments are searched, and which edits are then made, one after the other; so a plan follows from its
setting alone, in whatever process. An edit that no longer applies makes no plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from spatem_opt.model.architecture import Architecture
from spatem_opt.replication.chains import BlockModes, ChainMode
from spatem_opt.replication.modes import Modes
from spatem_opt.replication.segmentation import Segmentation
from spatem_opt.types import IntArray

SLOWER, FASTER = 1.6, 0.4
"""Times the cycles of a layer's mode within which another one is tried."""
CUTS = 0.25
"""How often a layer moves to the segment before or behind, where it could."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change.

    Parameters
    ----------
    kind : {"mode", "cut"}
        Another mode of a layer; or the first (last) layer of a segment goes to the one before (behind).
    layer : int
    value : int
        Index of the mode in the layer's modes, of a chain in those of its groups of tiles; or -1 (before), 1 (behind).
    """

    kind: Literal["mode", "cut"]
    layer: int
    value: int


class Editor:
    """Edits of segmentations of one network on one chip.

    Parameters
    ----------
    modes : list of Modes
        Of every layer in a pipelined segment.
    chains : dict
        Modes of every layer in chains, by number of tiles of a group.
    architecture : Architecture
    """

    def __init__(
        self, modes: list[Modes], chains: dict[int, list[BlockModes]], architecture: Architecture
    ) -> None:
        self.modes, self.chains, self.architecture = modes, chains, architecture

    def edited(self, cuts: Segmentation, edits: Iterable[Edit]) -> Segmentation | None:
        """The segmentation with all edits; None if one does not apply, or cells or crossbars do not suffice."""
        for edit in edits:
            found = self._mode(cuts, edit) if edit.kind == "mode" else self._cut(cuts, edit)
            if found is None:
                return None
            cuts = found
        return cuts if self._fits(cuts) else None

    def propose(self, cuts: Segmentation, rng: np.random.Generator, lost: IntArray | None) -> Edit | None:
        """A random edit, of a segment that lost many cycles if these are known (first, last layer, cycles)."""
        layers = len(cuts.segment)
        if lost is not None and len(lost) == int(cuts.segment.max()) + 1:
            first, last, _ = lost[rng.choice(len(lost), p=lost[:, 2] / lost[:, 2].sum())].tolist()
        else:
            segment = int(cuts.segment[rng.integers(layers)])
            first, last = np.flatnonzero(cuts.segment == segment)[[0, -1]].tolist()
        if rng.random() < CUTS:
            layer, value = (first, -1) if rng.random() < 0.5 else (last, 1)
            return Edit("cut", layer, value) if 0 <= layer + value < layers else None
        layer = int(rng.integers(first, last + 1))
        cycles = self._cycles(cuts, layer)
        now = self._now(cuts, layer)
        near = (cycles <= SLOWER * cycles[now]) & (cycles >= FASTER * cycles[now]) & self._allowed(cuts, layer)
        near[now] = False
        others = np.flatnonzero(near)
        return Edit("mode", layer, int(rng.choice(others))) if len(others) else None

    def _now(self, cuts: Segmentation, layer: int) -> int:
        """Index of a layer's mode."""
        chain = cuts.chain[layer] if cuts.chain else None
        if chain is None:
            return int(cuts.way[layer])
        own = self.chains[chain.grid.together][layer]
        same = (own.option == chain.option) & (own.turns == chain.turns) & (own.share == chain.share)
        return next(k for k in np.flatnonzero(same).tolist() if own.shapes[k] == chain.shape)

    def _columns(self, cuts: Segmentation, layer: int) -> Modes | BlockModes:
        chain = cuts.chain[layer] if cuts.chain else None
        return self.modes[layer] if chain is None else self.chains[chain.grid.together][layer]

    def _cycles(self, cuts: Segmentation, layer: int) -> IntArray:
        return self._columns(cuts, layer).cycles

    def _allowed(self, cuts: Segmentation, layer: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Modes that fit in the slots that the layer's segment has, and those that nobody has."""
        spare = self.architecture.ou_slots - int(self._slots(cuts).sum())
        return np.asarray(self._columns(cuts, layer).serial <= self._slots(cuts)[cuts.segment[layer]] + spare)

    def _slots(self, cuts: Segmentation) -> IntArray:
        """OUs on the fullest crossbar of every segment."""
        serial = [int(self._columns(cuts, i).serial[self._now(cuts, i)]) for i in range(len(cuts.segment))]
        slots = np.zeros(int(cuts.segment.max()) + 1, dtype=np.int64)
        np.maximum.at(slots, cuts.segment, np.array(serial))
        return slots

    def _fits(self, cuts: Segmentation) -> bool:
        """Whether crossbars hold all segments; if a segment's crossbars suffice shows when it is laid down."""
        if int(self._slots(cuts).sum()) > self.architecture.ou_slots:
            return False
        for segment in cuts.chains:
            own = [mode for mode, s in zip(cuts.chain, cuts.segment.tolist(), strict=True) if s == segment]
            if sum(mode.crossbars for mode in own if mode is not None) > self.architecture.crossbars_per_tile:
                return False
        return True

    def _mode(self, cuts: Segmentation, edit: Edit) -> Segmentation | None:
        chain = cuts.chain[edit.layer] if cuts.chain else None
        if edit.value >= len(self._cycles(cuts, edit.layer)):
            return None
        if chain is None:
            way = cuts.way.copy()
            way[edit.layer] = edit.value
            return self._timed(cuts, replace(cuts, way=way))
        own = self.chains[chain.grid.together][edit.layer]
        return self._timed(cuts, self._with(cuts, edit.layer, _chosen(own, edit.value, chain)))

    def _cut(self, cuts: Segmentation, edit: Edit) -> Segmentation | None:
        """The layer in the segment beside, in the mode of fewest crossbars that is as fast as that segment."""
        layer, beside = edit.layer, edit.layer + edit.value
        if not 0 <= beside < len(cuts.segment) or cuts.segment[layer] == cuts.segment[beside]:
            return None
        target, source = int(cuts.segment[beside]), int(cuts.segment[layer])
        slots, pattern = int(self._slots(cuts)[target]), cuts.chain[beside] if cuts.chain else None
        own = self.modes[layer] if pattern is None else self.chains[pattern.grid.together][layer]
        there = np.flatnonzero(cuts.segment == target).tolist()
        pace = max(int(self._cycles(cuts, i)[self._now(cuts, i)]) for i in there)
        fits = np.flatnonzero(own.serial <= slots)
        if not len(fits):
            return None
        fast = fits[own.cycles[fits] <= pace]
        best = fast[own.crossbars[fast].argmin()] if len(fast) else fits[own.cycles[fits].argmin()]
        segment = cuts.segment.copy()
        segment[layer] = target
        moved = replace(cuts, segment=segment)
        if isinstance(own, Modes):
            way = cuts.way.copy()
            way[layer] = best
            moved = self._with(replace(moved, way=way), layer, None)
        elif pattern is not None:
            moved = self._with(moved, layer, _chosen(own, int(best), pattern))
        if (segment == source).any():
            return self._timed(cuts, moved)
        keep = np.arange(len(cuts.cells)) != source  # the segment had this layer only
        renumbered = np.cumsum(keep)[segment] - 1
        return replace(
            moved, segment=renumbered, cells=cuts.cells[keep], cycles=cuts.cycles[keep], trail=cuts.trail[keep]
        )

    def _with(self, cuts: Segmentation, layer: int, mode: ChainMode | None) -> Segmentation:
        if not cuts.chain:
            return cuts
        return replace(cuts, chain=(*cuts.chain[:layer], mode, *cuts.chain[layer + 1 :]))

    def _timed(self, before: Segmentation, after: Segmentation) -> Segmentation:
        """The segmentation with the cycles of its segments changed as those of their slowest layers are."""
        old, new = self._slowest(before), self._slowest(after)
        ratio = new / np.maximum(old, 1)
        return replace(after, cycles=after.cycles * ratio, trail=after.trail * ratio)

    def _slowest(self, cuts: Segmentation) -> IntArray:
        slowest = np.zeros(len(cuts.cells), dtype=np.int64)
        cycles = [int(self._cycles(cuts, i)[self._now(cuts, i)]) for i in range(len(cuts.segment))]
        np.maximum.at(slowest, cuts.segment, np.array(cycles))
        return slowest


def _chosen(own: BlockModes, k: int, like: ChainMode) -> ChainMode:
    return ChainMode(int(own.option[k]), own.shapes[k], int(own.turns[k]), int(own.share[k]), like.grid)


def describe(edits: Sequence[Edit]) -> str:
    """In words, for traces."""
    if not edits:
        return ""
    last = edits[-1]
    what = f"mode {last.value}" if last.kind == "mode" else f"to the segment {'before' if last.value < 0 else 'behind'}"
    return f", {len(edits)} edits, last: layer {last.layer} {what}"
