"""Candidate plans of the heuristic, most promising first (``formulations/replication/README.md``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from math import inf

import numpy as np

from spatem_opt.cost.durations import datum_bits
from spatem_opt.cost.grid import Grid
from spatem_opt.mapping.problem import build
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption
from spatem_opt.network.layers import Network, Node
from spatem_opt.placement import places
from spatem_opt.planning import scale
from spatem_opt.planning.edits import Editor
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Task
from spatem_opt.planning.settings import CHAINED, CHAINED_SHARES, LARGE, MORE, Setting
from spatem_opt.replication import segmentation
from spatem_opt.replication.chains import (
    BlockGrid,
    BlockModes,
    ChainPrices,
    block_grids,
    block_modes,
    digital_cycles,
    layers_outside,
)
from spatem_opt.replication.layout import stripe_counts
from spatem_opt.replication.modes import Modes, layer_modes
from spatem_opt.replication.throughput import ThroughputLayers, least_period
from spatem_opt.types import IntArray

SLACK_PERCENT = 15
"""OU operations a layer may spend beyond its best mapping to read less."""
ALIGNED = MappingOption("channel-split")
"""Tried where it costs operations but no more than that: it reads as much from tiles' buffers, which is all that the
mapping step knows of, but cuts between channels send fewer inputs to two tiles."""
SMALL_NETWORK, SMALL_WEIGHTS, SMALL_EFFORT = 5_000, 100_000, 40
"""Windows, and OUs, up to which a network is so quick to try that this many variations belong to the first answer."""
FINE = 256
"""Numbers of slots per crossbar tried for these, at most."""
KEPT = 8
"""Settings whose segmentations are kept, for edits of them."""
FEW_LAYERS = 40
"""Layers up to which all of :data:`~spatem_opt.planning.settings.MORE` belong to the first answer; of larger networks
the most
promising plan."""
SHORTEST, SHORT_CYCLES = 4096, 32768
"""Latency bounds [cycles] between which an inference is short."""
SHORT_LAYERS = 100
"""Layers up to which every plan of a short inference is scheduled for the first answer."""
MANY_TILES = 4_096
"""Tiles beyond which routers are not relieved: that takes tables of tiles by tiles, of 16 000 tiles 11 GB."""
MANY_LAYERS = 400
"""Layers beyond which a single setting makes the first answer, and routers are not relieved: that would take longer
than to plan."""


class Candidates:
    """Plans for one network, chip and objective; what they share is computed once, on first use."""

    def __init__(
        self, network: Network, architecture: Architecture, objective: str = "latency", task: Task | None = None
    ) -> None:
        self.task = Task(network, architecture, objective) if task is None else task
        self.network, self.architecture, self.policy = network, architecture, self.task.policy
        self.tuning = self.task.tuning
        self._ways: dict[bool, list[Modes]] = {}
        self._made: dict[object, Modes] = {}
        self._found: dict[Setting, list[segmentation.Segmentation | None]] = {}

    def settings(self) -> list[Setting]:
        """Settings to begin with; fewer for large networks."""
        prices = self.tuning.prices(self.policy.name)
        if len(self.nodes) > MANY_LAYERS:
            return [Setting(prices[0])]
        found = [Setting(price, side_by_side=self.policy.side_by_side) for price in prices]
        if self.policy.faster:
            found = [*MORE, *CHAINED, *found] if len(self.nodes) <= FEW_LAYERS else [*LARGE, CHAINED[0]]
            found += [Setting(0.0, self.tuning.plans.small_share)] if self.effort else []
            return list(dict.fromkeys(found))
        if not self.policy.follows:
            found += [replace(own, router_share=share, chains=True) for share in CHAINED_SHARES for own in found]
        elif len(self.nodes) <= FEW_LAYERS:
            found[1:1] = self.more_settings()
        return list(dict.fromkeys(found))

    def more_settings(self) -> list[Setting]:
        """Settings that make other segments, or lay them out another way; tried before variations.

        For throughput where weights fill the chip, too: there layers take turns.
        """
        return list(MORE) if self.policy.faster or (self.policy.follows and self.scarce) else []

    def steady_settings(self) -> list[Setting]:
        """Settings of one segment at the least pace."""
        plans = self.tuning.plans
        return [Setting(0.0, share, steady=fill) for share in plans.steady_shares for fill in plans.steady_fills]

    @property
    def scarce(self) -> bool:
        """Whether one copy of everything takes over half of the cells: layers then do well to share crossbars."""
        return 2 * self.least > self.architecture.crossbars * self.architecture.ou_slots

    @cached_property
    def least(self) -> int:
        """OUs of one copy of every layer, at least."""
        return sum(min(grid.ous for grid in options) for options in self.grids)

    @cached_property
    def short(self) -> bool:
        """Whether inferences are so short that estimates are the least certain, of networks that are quick to plan."""
        return (
            SHORTEST <= scale.cycles(self.network, self.architecture) <= SHORT_CYCLES
            and len(self.nodes) <= SHORT_LAYERS
        )

    @property
    def effort(self) -> int:
        """Variations that belong to the first answer."""
        small = sum(node.windows for node in self.nodes) <= SMALL_NETWORK and self.least <= SMALL_WEIGHTS
        return SMALL_EFFORT if small else 0

    def segmented(self, setting: Setting) -> Plan | None:
        """Segments that take turns on the whole chip, or have parts of it; None if none is found that fits."""
        for cuts in self.segmentations(setting):
            edited = self.editor(setting).edited(cuts, setting.edits) if setting.edits else cuts
            plan = None if edited is None else self.place(edited, setting)
            if plan is not None:
                return plan
            if setting.edits:
                return None
        return None

    def segmentations(self, setting: Setting) -> Iterator[segmentation.Segmentation]:
        """Segmentations for less and less of the crossbars, edits left out; those of the last settings are kept."""
        base = replace(setting, edits=())
        found = self._found.pop(base, None) or []
        self._found[base] = found
        while len(self._found) > KEPT:
            del self._found[next(iter(self._found))]
        yield from (cuts for cuts in found if cuts is not None)
        fills = self.tuning.plans.fills[len(found) :]
        runs = self.runs(base) if fills else None
        for fill in fills:
            assert runs is not None
            chains = self.chains(runs) if setting.chains else []
            cuts = segmentation.best_segmentation(runs, fill=fill, chains=chains)
            found.append(cuts)
            if cuts is not None:
                yield cuts

    def editor(self, setting: Setting) -> Editor:
        """What makes, and proposes, edits of a setting's segmentation."""
        chains = {blocks.together: modes for blocks, modes in self.block_modes} if setting.chains else {}
        return Editor(self.ways(setting), chains, self.architecture)

    def edit(self, setting: Setting, rng: np.random.Generator, lost: IntArray | None) -> Setting | None:
        """The setting with one more edit; None if none was found."""
        if setting.side_by_side or setting.steady:
            return None
        editor = self.editor(setting)
        cuts = next(self.segmentations(setting), None)
        edited = None if cuts is None else editor.edited(cuts, setting.edits)
        edit = None if edited is None else editor.propose(edited, rng, lost)
        return None if edit is None else replace(setting, edits=(*setting.edits, edit))

    def steady(self, setting: Setting) -> Plan | None:
        """All layers at once at the least pace; None if they do not fit.

        Windows keep no pace for the sake of routers: these serve a period's traffic on average, which exchanges of
        tiles see to.
        """
        options = self.ways(setting)
        chosen = least_period(ThroughputLayers(options, self.architecture, setting.router_share, setting.steady))
        if chosen is None:
            return None
        placed = places.place_copies(
            chosen, options, self.grids, self.network, self.architecture, tuning=self.tuning.placing
        )
        if placed is None:
            return None
        allocations = [replace(own, pace=0) for own in placed.allocations]
        return Plan(setting.name, placed.grids, allocations, span=0, origin=setting)

    def runs(self, setting: Setting) -> segmentation.SegmentPrices:
        """Prices of all runs of layers."""
        worth = setting.price * scale.cycles(self.network, self.architecture)
        worth /= max(1, scale.bits(self.network, self.architecture))
        weights = setting.weights or (0.0,) * len(self.nodes)
        made: dict[tuple[int, float], Modes] = {}
        options = self.ways(setting)
        for way, weight in zip(options, weights, strict=True):
            made.setdefault((id(way), weight), self._weighted(way, weight) if weight else way)
        priced = [made[id(way), weight] for way, weight in zip(options, weights, strict=True)]
        return segmentation.SegmentPrices(
            priced, self.network, self.architecture, worth, self.slots, setting.router_share, setting.side_by_side
        )

    def chains(self, runs: segmentation.SegmentPrices) -> list[ChainPrices]:
        """Prices of chains on groups of all sizes, at the price of communication of runs."""
        chip = self.architecture
        router = self.tuning.plans.chain_share * chip.mesh_rows * chip.mesh_cols * chip.router_bits_per_cycle
        return [
            ChainPrices(blocks, modes, self.network, chip, runs.price, self.slots, router)
            for blocks, modes in self.block_modes
        ]

    @cached_property
    def block_modes(self) -> list[tuple[BlockGrid, list[BlockModes]]]:
        """Modes of every layer in chains, for groups of all sizes."""
        outside = layers_outside(self.network)
        digital = digital_cycles(self.network, self.architecture)
        gathered = _gathered(self.network, self.architecture)
        made: dict[object, BlockModes] = {}
        found: list[tuple[BlockGrid, list[BlockModes]]] = []
        for blocks in block_grids(self.architecture):
            modes = []
            for layer, (node, grids) in enumerate(zip(self.nodes, self.grids, strict=True)):
                reads = int(node.edges[0].rows.max()), int(node.edges[0].cols.max())
                gathers = gathered.get(self.network.layers[layer], 0)
                key = blocks, _kind(node), reads, outside[layer], digital[layer], gathers
                if key not in made:
                    made[key] = block_modes(
                        grids, node, self.architecture, self.slots, blocks,
                        outside=outside[layer], digital=digital[layer], gathered=gathers,
                    )  # fmt: skip
                modes.append(made[key])
            found.append((blocks, modes))
        return found

    def _weighted(self, way: Modes, weight: float) -> Modes:
        """Ways with other communication; for latency, where it has hardly a price, also with other router traffic."""
        hops = 2.0 ** (weight / 2) if self.policy.faster else 1.0
        return replace(way, bits=way.bits * 2.0**weight, hop_bits=way.hop_bits * hops)

    def place(self, cuts: segmentation.Segmentation, setting: Setting) -> Plan | None:
        """The plan of given cuts, made for a setting; None if copies do not fit tile by tile."""
        placed = places.place_copies(
            cuts, self.ways(setting), self.grids, self.network, self.architecture,
            (0,) if self.policy.side_by_side or setting.chains else self._lanes(setting), setting.woven,
            served=self.policy.faster or self.policy.follows, tuning=self.tuning.placing,
        )  # fmt: skip
        if placed is None:
            return None
        turns = self.policy.faster and not setting.side_by_side and len(self.nodes) <= MANY_LAYERS
        turns &= self.architecture.tiles <= MANY_TILES
        relieved = turns and not all(own.split.tied for own in placed.allocations)
        return Plan(
            setting.name, placed.grids, placed.allocations, regions=places.segment_regions(cuts, self.architecture),
            moves=placed.moves, estimate=placed.cycles,
            tolerance=self._tolerance(setting), kind=setting.kind,
            exchanges=("relieve-segments",) if relieved else (), rebalance=relieved, origin=setting,
        )  # fmt: skip

    def _tolerance(self, setting: Setting) -> float:
        """How many times too high estimates may be; of the shortest inferences by twice: none is dropped."""
        plans = self.tuning.plans
        return inf if self.effort else plans.hopeless_beside if setting.side_by_side else plans.hopeless

    def _lanes(self, setting: Setting) -> Sequence[int]:
        """Numbers of lanes of the walk to choose from."""
        return (setting.lanes,) if setting.lanes else stripe_counts(self.architecture)

    @cached_property
    def grids(self) -> list[tuple[Grid, ...]]:
        """Grids of every layer under its admitted mapping options, fewest OU operations first."""
        problem = build(self.network, self.architecture, slack_percent=SLACK_PERCENT)
        found: list[tuple[Grid, ...]] = []
        for layer in range(len(self.nodes)):
            order = sorted(problem.allowed(layer).nonzero()[0], key=lambda i: int(problem.operations[layer][i]))
            options = [*(problem.options[layer][i] for i in order), ALIGNED]
            found.append(_worth_trying(tuple(self.task.grid(layer, option) for option in options)))
        return found

    @cached_property
    def slots(self) -> IntArray:
        """Slots per crossbar that a segment may take."""
        return segmentation.slot_menu(self.architecture, self.grids)

    def ways(self, setting: Setting) -> list[Modes]:
        """Ways to run every layer: in a segment, or on crossbars of its own with all numbers of slots or nearly."""
        fine = bool(setting.steady)
        if fine not in self._ways:
            self._ways[fine] = self._make_ways(self._fine_slots() if fine else self.slots)
        return self._ways[fine]

    def _fine_slots(self) -> IntArray:
        most = self.architecture.ou_slots
        few = np.arange(1, most + 1) if most <= FINE else np.geomspace(1, most, FINE)
        return np.unique(few.astype(np.int64))

    def _make_ways(self, slots: IntArray) -> list[Modes]:
        found: list[Modes] = []
        gathered = _gathered(self.network, self.architecture)
        for index, node, grids in zip(self.network.layers, self.nodes, self.grids, strict=True):
            outside = any(self.network.nodes[p].kind == "input" for edge in node.edges for p in edge.producers)
            more = (outside, gathered.get(index, 0))
            key = (_kind(node), slots.tobytes(), *more)
            if key not in self._made:
                self._made[key] = layer_modes(grids, node, self.architecture, slots, *more, self.tuning.modes)
            found.append(self._made[key])
        return found

    @property
    def nodes(self) -> list[Node]:
        """Crossbar layers."""
        return [self.network.nodes[i] for i in self.network.layers]


def candidates_of(task: Task) -> Candidates:
    """Those of a task, for :meth:`~spatem_opt.planning.protocol.Task.shared`."""
    return Candidates(task.network, task.architecture, task.objective, task)


def _worth_trying(grids: tuple[Grid, ...]) -> tuple[Grid, ...]:
    """The grids, the last of which is aligned: without it where it is no other one, too large, or used only once."""
    least, aligned = grids[0].operations, grids[-1].operations
    worth = least < aligned <= (100 + SLACK_PERCENT) * least // 100
    return grids if worth and grids[0].windows > 1 else grids[:-1]


def _gathered(network: Network, architecture: Architecture) -> dict[int, int]:
    """Bits that digital nodes of one window bring together, by the layer that hosts them."""
    host: list[int] = []
    found: dict[int, int] = {}
    for index, node in enumerate(network.nodes):
        primary = int(node.edges[0].source[0]) if node.kind == "digital" else index
        host.append(index if node.kind == "crossbar" else host[primary] if node.kind == "digital" else -1)
        if node.kind == "digital" and node.windows == 1 and network.nodes[primary].windows > 1:
            width = datum_bits(network, architecture)[primary]
            bits = network.nodes[primary].windows * len(node.edges[0].channel) * width
            found[host[index]] = max(found.get(host[index], 0), bits)
    return found


def _kind(node: Node) -> object:
    """Layers of one kind have the same grids and ways."""
    return node.weights, node.height, node.width, len(node.edges[0].channel)
