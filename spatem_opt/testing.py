"""Generators of small random instances and semantic assertions, for tests of this package and of what builds on it.

Examples
--------
>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> network, chip = random_network(rng), random_chip(rng)
>>> plan = random_plan(rng, network, chip)
>>> plan is None or assert_confirmed(scheduled(plan, network, chip)).latency_cycles > 0
True
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np

from spatem_opt.cost.grid import Grid, make_grid
from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluation, Evaluator, evaluate
from spatem_opt.evaluator.settling import ROUNDS, SETTLING, settled, tightened
from spatem_opt.grouping.tile_parts import filled_tiling
from spatem_opt.grouping.tiling import Tiling, tiling_for_serial
from spatem_opt.mapping.problem import layer_options
from spatem_opt.mapping.shortage import shortage
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import MappingOption, Solution
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network, Node
from spatem_opt.network.maps import Tensor
from spatem_opt.planning.baselines import layer_serial
from spatem_opt.planning.fit import misfit
from spatem_opt.planning.plan import Plan, assemble, problem_of
from spatem_opt.planning.protocol import Outcome, Planner, Reason, Task, learn
from spatem_opt.replication.layout import Allocation, Split, bands, column_blocks, interleaved
from spatem_opt.scheduling import list_schedule
from spatem_opt.search.realisation import Scheduled, attempt, measure
from spatem_opt.types import IntArray

Rng = np.random.Generator

UNCOUNTED = frozenset({"buffer"})
"""Families that a schedule of these generators may break: it does not look at what buffers hold."""


def random_chip(rng: Rng) -> Architecture:
    """A chip of at most 4 x 4 routers with small crossbars, small OUs and narrow ports."""
    ou_rows, ou_cols = int(rng.integers(2, 8)), int(rng.integers(2, 8))
    return Architecture(
        name="random", mesh_rows=int(rng.integers(1, 5)), mesh_cols=int(rng.integers(1, 5)),
        tiles_per_router=int(rng.integers(1, 3)), pes_per_tile=int(rng.integers(1, 4)),
        crossbars_per_pe=int(rng.integers(2, 6)),
        crossbar_rows=ou_rows * int(rng.integers(2, 6)) + int(rng.integers(0, 2)),
        crossbar_cols=ou_cols * int(rng.integers(2, 6)) + int(rng.integers(0, 2)),
        ou_rows=ou_rows, ou_cols=ou_cols, cell_bits=2, dac_bits=int(rng.integers(1, 3)),
        weight_bits=int(rng.integers(2, 7)), activation_bits=int(rng.integers(1, 6)),
        partial_sum_bits=int(rng.integers(1, 8)), pipeline_tail_cycles=int(rng.integers(0, 6)),
        buffer_bits_per_cycle=int(rng.integers(4, 80)), overlap_input=bool(rng.random() < 0.4),
        input_load="full" if rng.random() < 0.2 else "needed", router_bits_per_cycle=int(rng.integers(4, 40)),
        hop_cycles=int(rng.integers(1, 4)), digital_ops_per_cycle=int(rng.integers(1, 9)),
    )  # fmt: skip


def random_network(rng: Rng, layers: int = 4) -> Network:
    """At most ``layers`` crossbar layers with pools, additions, concatenations, shuffles and groups between."""
    b = Builder("random", "generated for a test")
    x = b.input(int(rng.integers(1, 5)), int(rng.integers(3, 9)), int(rng.integers(3, 9)))
    for _ in range(int(rng.integers(1, layers + 1))):
        before, x = x, _convolved(rng, b, x)
        kind = rng.integers(6)
        if kind == 0 and (x.height, x.width) == (before.height, before.width):
            x = b.concat([x, before])
        elif kind == 1 and min(x.height, x.width) > 1:
            x = b.pool(x, "max", 2, stride=int(rng.integers(1, 3)))
        elif kind == 2:
            x = b.add(x, _same(rng, b, x))
        elif kind == 3 and x.channels % 2 == 0:
            x = x.shuffle(2)
    return b.build() if rng.random() < 0.6 else _with_classifier(b, x)


def _convolved(rng: Rng, b: Builder, x: Tensor) -> Tensor:
    """A convolution with random kernel, stride, padding and groups, now and then a transposed or dilated one."""
    groups = int(rng.choice([g for g in range(1, x.channels + 1) if x.channels % g == 0]))
    filters = groups * int(rng.integers(1, 5))
    kernel = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    pads = kernel[0] // 2, kernel[1] // 2, kernel[0] // 2, kernel[1] // 2
    if x.height * x.width < 30 and rng.random() < 0.1:
        return b.conv_transpose(x, filters, kernel, 2, groups=groups)
    kernel = min(kernel[0], x.height), min(kernel[1], x.width)
    dilation = 2 if min(x.height, x.width) > 5 and rng.random() < 0.15 else 1
    return b.conv(x, filters, kernel, int(rng.integers(1, 3)), pads, dilation, groups)


def _same(rng: Rng, b: Builder, x: Tensor) -> Tensor:
    """A convolution of the shape of its input."""
    return b.conv(x, x.channels, int(rng.choice([1, 3])), pads="same")


def _with_classifier(b: Builder, x: Tensor) -> Network:
    b.fc(x, 3)
    return b.build()


def random_option(rng: Rng, node: Node, architecture: Architecture) -> MappingOption:
    """Any mapping option that makes sense for a layer, slotted or filled."""
    options = layer_options(node, architecture, "filled" if rng.random() < 0.3 else "slotted")
    return options[int(rng.integers(len(options)))]


def random_plan(rng: Rng, network: Network, architecture: Architecture) -> Plan | None:
    """Random options, shapes, copies, window splits and places; layers share crossbars where they happen to meet.

    None if a layer finds no room.
    """
    nodes = [network.nodes[i] for i in network.layers]
    grids = tuple(make_grid(node, random_option(rng, node, architecture), architecture) for node in nodes)
    used = np.zeros(architecture.crossbars, dtype=np.int64)
    allocations: list[Allocation] = []
    for segment, grid in enumerate(grids):
        shape = random_shape(rng, grid, architecture)
        split = None if shape is None else random_split(rng, grid, architecture.crossbars // shape.crossbars)
        position = None if shape is None or split is None else _places(rng, grid, shape, split, architecture, used)
        if shape is None or split is None or position is None:
            return None
        allocations.append(Allocation(shape, position, split, segment))
    return Plan("random", grids, allocations)


def random_shape(rng: Rng, grid: Grid, architecture: Architecture) -> Tiling | None:
    """Any shape of a grid that a crossbar can hold; None if there is none."""
    if grid.option.storage == "filled":
        return filled_tiling(grid)
    return tiling_for_serial(grid, int(rng.integers(1, architecture.ou_slots + 1)), architecture.crossbars_per_tile)


def random_split(rng: Rng, grid: Grid, most: int) -> Split | None:
    """Interleaved windows, bands or column blocks of at most ``most`` (and at most 6) copies; None if ``most`` is 0."""
    most = min(most, 6, grid.windows)
    if most < 1:
        return None
    copies = int(rng.integers(1, most + 1))
    kind = rng.integers(3)
    if kind < 2:
        return interleaved(grid.windows, copies) if kind else bands(grid.windows, copies)
    blocks = min(copies, grid.window_cols)
    return column_blocks(grid.window_rows, grid.window_cols, blocks, min(copies // blocks, grid.window_rows))


def _places(
    rng: Rng, grid: Grid, shape: Tiling, split: Split, architecture: Architecture, used: IntArray
) -> IntArray | None:
    """A place on the walk for every copy, disjoint within the layer; fills in the slots used. None if out of room."""
    capacity, n = architecture.ou_slots, shape.crossbars
    filled = grid.option.storage == "filled"
    found: list[int] = []
    mine = np.zeros(len(used), dtype=np.bool_)
    for _ in range(int(split.copy.max()) + 1):
        free = ~mine & (used == 0 if filled else used + shape.serial <= capacity)
        runs = np.flatnonzero(np.convolve(free, np.ones(n, dtype=np.int64), "valid") == n)
        if n > len(used) or not len(runs):
            return None
        place = int(rng.choice(runs[:20]))
        found.append(place)
        mine[place : place + n] = True
        used[place : place + n] += capacity if filled else shape.serial
    return np.array(found)


TINY = 40
"""Tiny instances that tests and benchmarks share: seeds 0 .. 39 of :func:`tiny_instance`."""


def tiny_instance(seed: int) -> tuple[Network, Architecture]:
    """A network of 2 to 4 crossbar layers on a chip of 1 to 4 tiles: small enough for a model of all steps at once.

    Parameters
    ----------
    seed : int
        Also picks what the network has, ``seed % 5``: a chain, an addition, a concatenation, a depthwise layer, a pool.

    Examples
    --------
    >>> network, chip = tiny_instance(1)
    >>> [node.op for node in network.nodes], chip.tiles
    (['input', 'conv', 'conv', 'add', 'fc'], 3)
    """
    rng = np.random.default_rng([seed, TINY])
    network, chip = _tiny_network(rng, seed), _tiny_chip(rng, f"tiny-{seed}")
    while shortage(network, chip) is not None:
        chip = _tiny_chip(rng, chip.name)
    return network, chip


def _tiny_network(rng: Rng, seed: int) -> Network:
    b = Builder(f"tiny-{seed}", f"generated: tiny instance {seed}")
    size = int(rng.integers(2, 4))
    x = b.input(int(rng.integers(1, 3)), size, size)
    kernel = int(rng.choice([1, 2])) if size == 2 else int(rng.choice([1, 3]))
    x = b.conv(x, int(rng.integers(2, 4)), kernel, pads="same")
    kind = seed % 5
    if kind == 1:
        x = b.add(x, _same(rng, b, x))
    elif kind == 2:
        x = b.concat([x, b.conv(x, 2, 1)])
    elif kind == 3:
        x = b.conv(x, x.channels, 2, groups=x.channels)
    elif kind == 4:
        x = b.pool(x, "max", 2, stride=int(rng.integers(1, 3)))
    if kind != 1:
        x = b.conv(x, int(rng.integers(1, 4)), 1)
    if rng.random() < 0.4:
        b.fc(x, int(rng.integers(1, 4)))
    return b.build()


def _tiny_chip(rng: Rng, name: str) -> Architecture:
    """1 to 4 tiles of 1 to 3 crossbars of 4 or 6 OU slots, at most 6 crossbars, few bits of everything."""
    rows, cols = ((1, 1), (1, 2), (2, 1), (1, 3), (2, 2))[int(rng.integers(5))]
    per_tile = int(rng.integers(2, 5)) if rows * cols == 1 else int(rng.integers(1, 6 // (rows * cols) + 1))
    ou_rows, ou_cols = int(rng.integers(4, 7)), int(rng.integers(2, 5))
    return Architecture(
        name=name, mesh_rows=rows, mesh_cols=cols, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=per_tile,
        crossbar_rows=2 * ou_rows, crossbar_cols=int(rng.integers(2, 4)) * ou_cols, ou_rows=ou_rows, ou_cols=ou_cols,
        cell_bits=2, adc_bits=8, weight_bits=2, activation_bits=int(rng.integers(1, 4)), partial_sum_bits=4,
        pipeline_tail_cycles=int(rng.integers(0, 4)), buffer_bits_per_cycle=int(rng.integers(8, 33)),
        overlap_input=bool(rng.random() < 0.25), input_load="full" if rng.random() < 0.1 else "needed",
        router_bits_per_cycle=int(rng.integers(4, 17)), digital_ops_per_cycle=int(rng.integers(1, 7)),
    )  # fmt: skip


def pixel_pipeline(network: Network, architecture: Architecture) -> Plan | None:
    """One copy of every layer on tiles of its own, no barrier: what OU-level simulators call a pixel pipeline."""
    plan = layer_serial(network, architecture)
    return None if plan is None else replace(plan, name="pixel-pipeline", serial=False)


def scheduled(plan: Plan, network: Network, architecture: Architecture) -> Solution:
    """The plan's solution with everything as soon as possible, reserved for as long as the replay says.

    Buffers may be overrun, so that this is :func:`~spatem_opt.evaluator.settle` without its refusal.
    """
    problem = problem_of(plan, network, architecture)
    solution = assemble(plan, problem, list_schedule.solve(problem))
    evaluator = Evaluator()
    for number in range(ROUNDS):
        found = evaluator(solution, full=False)
        if SETTLING.isdisjoint(found.families):
            return tightened(solution, found)
        solution = settled(evaluator, solution, found, number)
    return solution


def check_planner(planner: Planner, *, instances: int = 15, plans: int = 6, objective: str = "latency") -> int:
    """Try a planner on tiny random instances (:func:`tiny_instance`), as the search would.

    Parameters
    ----------
    planner : Planner
        An object, not a class.
    instances : int
        The first so many seeds.
    plans : int
        Looked at per instance, at most.
    objective : str

    Returns
    -------
    int
        Solutions that the evaluator confirms.

    Raises
    ------
    AssertionError
        With instance, plan, and what is wrong: something other than a plan, decisions that break a rule, other plans
        from the same seed, or not a single solution on all instances.

    Examples
    --------
    >>> from spatem_opt.planning.baselines import Baseline
    >>> check_planner(Baseline("dense-pipeline")) > 10
    True
    """
    assert not isinstance(planner, type), f"{planner.__name__} is a class: expected an object, {planner.__name__}()"
    for needed in ("name", "plans"):
        assert hasattr(planner, needed), f"{type(planner).__name__} has no {needed!r}"
    assert isinstance(planner.name, str), f"expected a name of text, not {planner.name!r}"
    assert planner.name.strip(), "expected a name, not an empty one"
    confirmed, reasons = 0, set[str]()
    for seed in range(instances):
        tries = [_tried(planner, seed, plans, objective) for _ in range(2)]
        (first, outcomes), (second, _) = tries
        where = f"{planner.name} on tiny_instance({seed})"
        assert first == second, f"{where}: the same seed gives other plans: take all random choices from rng"
        confirmed += sum(outcome.solved for outcome in outcomes)
        reasons |= {str(outcome.reason) for outcome in outcomes}
    said = f"reasons: {', '.join(sorted(reasons))}" if reasons else "there was no plan"
    assert confirmed, f"{planner.name}: no solution on any of {instances} tiny instances; {said}"
    return confirmed


def _tried(planner: Planner, seed: int, plans: int, objective: str) -> tuple[list[bytes], list[Outcome]]:
    """Digests of a planner's first plans for an instance, and what became of them."""
    task = Task(*tiny_instance(seed), objective)
    found: list[Outcome] = []
    digests: list[bytes] = []
    for plan in islice(planner.plans(task, np.random.default_rng(seed)), plans):
        if plan is None:
            continue
        where = f"{planner.name} on tiny_instance({seed}), plan {len(digests)}"
        assert isinstance(plan, Plan), f"{where}: expected a Plan or None, not {type(plan).__name__}"
        wrong = misfit(plan, task)
        assert wrong is None, f"{where}: {wrong}"
        digests.append(plan.digest())
        try:
            made = attempt(plan, task, task.limit)
        except ModelError as error:
            raise AssertionError(f"{where}: {error}") from error
        found.append(_outcome(made, task))
        learn(planner, plan, found[-1])
    return digests, found


def _outcome(made: Scheduled | Reason, task: Task) -> Outcome:
    """As the search would say it."""
    if isinstance(made, Reason):
        return Outcome(made)
    confirmed = assert_confirmed(made.solution)
    value = measure(confirmed, task.objective)
    better = task.best is None or value < task.best
    task.best = value if better else task.best
    reason = Reason.ACCEPTED if better else Reason.NOT_BETTER
    return Outcome(reason, value=value, latency=confirmed.latency_cycles, solution=made.solution)


def assert_confirmed(solution: Solution) -> Evaluation:
    """The evaluation of a solution that may overrun buffers but breaks nothing else.

    Raises
    ------
    AssertionError
        With the message of the first violation of any other family, claims included.
    """
    found = evaluate(solution)
    for violation in found.violations:
        if violation.family not in UNCOUNTED:
            raise AssertionError(f"{violation.family}: {violation.message}")
    return found
