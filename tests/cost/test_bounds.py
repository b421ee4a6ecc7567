"""End-to-end bounds: below every solution there is, and as derived by hand."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from spatem_opt import load_architecture, load_network
from spatem_opt.cost import bounds
from spatem_opt.cost.grid import make_grid
from spatem_opt.evaluator import Evaluation
from spatem_opt.grouping.tile_parts import filled_tiling
from spatem_opt.grouping.tiling import tilings_for_serial
from spatem_opt.mapping.problem import layer_options
from spatem_opt.model.architecture import Architecture
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.planning.candidates import candidates_of
from spatem_opt.planning.one_segment import pipeline
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Task
from spatem_opt.planning.settings import Setting
from spatem_opt.replication.layout import Allocation, bands, interleaved
from spatem_opt.search.realisation import measure, realise
from spatem_opt.testing import assert_confirmed, random_chip, random_network, random_plan, scheduled

SEEDS = st.integers(0, 2**32 - 1)
BOUNDS = bounds.MAKERS
CASES = [
    ("lenet5", "ou-isaac-4x4"),
    ("cifar10", "ou-isaac-4x4"),
    pytest.param("cifar10", "ou-isaac", marks=pytest.mark.slow),
    pytest.param("squeezenet", "ou-isaac-7x7", marks=pytest.mark.slow),
]
PLANNERS = [*BASELINES, "segments", "pipeline"]


@cache
def evaluated(planner: str, network: str, preset: str) -> Evaluation | None:
    """Numbers of a valid solution; None if there is none."""
    net, chip = load_network(network), load_architecture(preset)
    if planner in BASELINES:
        plan = BASELINES[planner](net, chip)
    else:
        task = Task(net, chip)
        plan = task.shared(candidates_of).segmented(Setting(0.0)) if planner == "segments" else pipeline(task)
    found = None if plan is None else realise(plan, net, chip)
    return None if found is None else found[1]


@pytest.mark.parametrize("objective", BOUNDS)
@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize(("network", "preset"), CASES)
def test_below_every_solution(network: str, preset: str, planner: str, objective: str) -> None:
    found = evaluated(planner, network, preset)
    if found is None:
        pytest.skip("does not fit")
    bound = BOUNDS[objective](load_network(network), load_architecture(preset))
    assert bound.value <= measure(found, objective)


@settings(max_examples=80)
@given(SEEDS, st.sampled_from(sorted(BOUNDS)))
@example(104331, "latency")  # two layers read nothing but padding and wait for nobody
def test_below_random_solutions(seed: int, objective: str) -> None:
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng), random_chip(rng)
    plan = random_plan(rng, network, chip)
    assume(plan is not None)
    assert plan is not None
    found = assert_confirmed(scheduled(plan, network, chip))
    terms = BOUNDS[objective](network, chip).terms
    for name, value in terms.items():
        assert value <= measure(found, objective), name


def all_plans(network: Network, chip: Architecture) -> list[Plan]:
    """Every option, shape, number of copies and split of a one-layer network."""
    node = network.nodes[network.layers[0]]
    plans = []
    for option in [o for storage in ("slotted", "filled") for o in layer_options(node, chip, storage)]:  # type: ignore[arg-type]
        grid = make_grid(node, option, chip)
        if option.storage == "filled":
            shapes = {filled_tiling(grid)}
        else:
            found = (tilings_for_serial(grid, m, chip.crossbars_per_tile) for m in range(1, chip.ou_slots + 1))
            shapes = {shape for some in found for shape in some}
        for shape in shapes:
            for copies in range(1, min(grid.windows, chip.crossbars // shape.crossbars) + 1):
                place = np.arange(copies) * shape.crossbars
                plans += [
                    Plan("all", (grid,), [Allocation(shape, place, split)])
                    for split in (interleaved(grid.windows, copies), bands(grid.windows, copies))
                ]
    return plans


def tiny_chip(**changes: object) -> Architecture:
    """4 crossbars of 4 OUs on 2 tiles."""
    fields: dict[str, object] = {
        "name": "tiny", "mesh_rows": 1, "mesh_cols": 2, "tiles_per_router": 1, "pes_per_tile": 1, "crossbars_per_pe": 2,
        "crossbar_rows": 4, "crossbar_cols": 4, "ou_rows": 2, "ou_cols": 2, "weight_bits": 2, "cell_bits": 2,
        "activation_bits": 4,
    }  # fmt: skip
    return Architecture(**(fields | changes))  # type: ignore[arg-type]


def one_layer(filters: int, kernel: int, size: int) -> Network:
    """One convolution of two channels."""
    b = Builder("one")
    b.conv(b.input(2, size, size), filters, kernel)
    return b.build()


@cache
def all_found(filters: int, kernel: int, size: int, chip: Architecture) -> list[Evaluation]:
    """Every valid solution of one layer, once for all objectives."""
    network = one_layer(filters, kernel, size)
    return [found[1] for plan in all_plans(network, chip) if (found := realise(plan, network, chip)) is not None]


@pytest.mark.parametrize("objective", BOUNDS)
@pytest.mark.parametrize(("filters", "kernel", "size"), [(2, 1, 3), (4, 1, 4), (1, 2, 4), (4, 2, 3), (8, 1, 1)])
@pytest.mark.parametrize("changes", [{}, {"buffer_bits_per_cycle": 3}, {"overlap_input": True}], ids=str)
def test_below_the_best_of_all_solutions(
    filters: int, kernel: int, size: int, changes: dict[str, object], objective: str
) -> None:
    network, chip = one_layer(filters, kernel, size), tiny_chip(**changes)
    values = [measure(found, objective) for found in all_found(filters, kernel, size, chip)]
    assert BOUNDS[objective](network, chip).value <= min(values)


def test_terms_by_hand() -> None:
    """4 x 2 cells of 4 filters are 2 OUs of 2 x 2 cells; 16 windows x 2 OUs x 4 phases = 128 on 4 crossbars.

    A first window: its input enters in 1 hop and 1 cycle, as one of 2 tiles has at least one of the 2 channels of 4
    bits; 4 phases x 1 OU on its crossbar, 1 cycle of load, tail 5. All work: those 2 cycles, 32, tail 5. Ports: every
    window reads 2 channels of 4 bits, 128 bits in all over 2 tiles x 1248 bits; 2 x 16 x 4 bits enter at 288 a cycle.
    """
    terms = bounds.latency(one_layer(4, 1, 4), tiny_chip()).terms
    assert terms == {"work": 2 + 32 + 5, "path": 2 + 4 + 1 + 5, "barrier": 0, "port": 1, "entry": 1}


def test_barrier_by_hand() -> None:
    """A fully connected layer reads all 16 pixels: all 128 OU operations of the layer before it, then itself.

    Its 64 x 2 weights are 32 OUs, 8 on each of 4 crossbars, in 4 phases: 32 cycles, load 1, tail 5. Before it the
    input's 2 cycles, the convolution's 32, and its tail.
    """
    b = Builder("two")
    b.fc(b.conv(b.input(2, 4, 4), 4, 1), 2)
    assert bounds.latency(b.build(), tiny_chip()).terms["barrier"] == 2 + 32 + 5 + 32 + 1 + 5


@settings(max_examples=40)
@given(SEEDS)
def test_more_crossbars_never_raise_the_bound(seed: int) -> None:
    """More PEs: with whole input registers loaded, a PE of more crossbars takes longer to load."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng), random_chip(rng)
    fields = {name: getattr(chip, name) for name in chip.__dataclass_fields__}
    larger = Architecture(**(fields | {"pes_per_tile": chip.pes_per_tile * 2}))
    assert bounds.latency(network, larger).value <= bounds.latency(network, chip).value


def test_the_binding_term_is_the_largest() -> None:
    bound = bounds.Bound({"work": 3, "path": 7})
    assert (bound.value, bound.binding) == (7, "path")


def test_a_bitline_takes_whole_operations() -> None:
    """10 weights of a bitline on 4 wordlines take 3 operations, not 2.5; 3 filters of one cell, 4 windows, 2 bitlines.

    4 x 3 bitlines x 3 uses / 2 bitlines an operation = 18, in 16 phases.
    """
    chip = Architecture(name="hand", ou_rows=4, ou_cols=2, weight_bits=2, cell_bits=2)
    b = Builder("one")
    b.conv(b.input(10, 2, 2), 3, 1)
    assert bounds.operations(b.build().nodes[1], chip) == 18 * 16
