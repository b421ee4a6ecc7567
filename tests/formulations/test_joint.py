"""Joint model: exact against the evaluator and brute force, families, hints, symmetry, reach."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from formulations.joint import cpsat
from formulations.joint.decisions import Decisions, from_solution, ordered, read, to_solution
from formulations.joint.problem import JointProblem, make
from formulations.solver import Limits, run_cpsat
from spatem_opt import front_end
from spatem_opt.cost import bounds
from spatem_opt.errors import InstanceError, ModelError
from spatem_opt.evaluator import evaluate
from spatem_opt.evaluator.settling import SETTLING
from spatem_opt.exact.decoupling import LARGEST, decisions, decoupling_price, estimate, within_reach
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.presets import load_architecture
from spatem_opt.model.result import Status
from spatem_opt.model.solution import MappingOption
from spatem_opt.network import load
from spatem_opt.network.builder import Builder
from spatem_opt.network.layers import Network
from spatem_opt.planning.plan import assemble, problem_of
from spatem_opt.scheduling import list_schedule
from spatem_opt.testing import TINY, random_chip, random_network, random_plan, tiny_instance
from tests.evaluator.test_widths import with_bits

README = Path(cpsat.__file__).with_name("README.md")
LIMITS = Limits(30.0, workers=1, deterministic_limit=30.0)
CHIP = Architecture(
    name="two", mesh_rows=1, mesh_cols=2, tiles_per_router=1, pes_per_tile=1, crossbars_per_pe=1, crossbar_rows=4,
    crossbar_cols=4, ou_rows=2, ou_cols=2, cell_bits=2, adc_bits=8, weight_bits=2, activation_bits=2,
    partial_sum_bits=4, pipeline_tail_cycles=1, buffer_bits_per_cycle=4, router_bits_per_cycle=4,
    digital_ops_per_cycle=1,
)  # fmt: skip


def solved(network: Network, chip: Architecture, without: tuple[str, ...] = (), **fields: object) -> int:
    """Proven optimum of the model, without families."""
    model, _ = cpsat.build(make(network, chip, **fields), without)  # type: ignore[arg-type]
    run = run_cpsat(model, LIMITS)
    assert run.status is Status.OPTIMAL
    assert run.objective is not None
    return run.objective


# --- exactness -------------------------------------------------------------------------------------------------------


def random_problem(seed: int) -> tuple[JointProblem, Decisions, int] | None:
    """A random solution's decisions, a problem around them, and its queue-free latency; None if it is too large."""
    rng = np.random.default_rng(seed)
    network, chip = random_network(rng, 2), random_chip(rng)
    if seed % 2:  # layers with bits of their own
        network = with_bits(network, {network.nodes[i].name: 1 + (seed + i) % 6 for i in network.layers})
    plan = random_plan(rng, network, chip)
    if plan is None or chip.crossbars > 20 or sum(network.nodes[i].windows for i in network.layers) > 60:
        return None
    steps = problem_of(plan, network, chip)
    solution = assemble(plan, steps, list_schedule.solve(steps))  # starts as early as without queues
    found = evaluate(solution)
    if not SETTLING.issuperset(found.families) or found.queue_free_cycles is None:
        return None
    problem = make(network, chip)
    ways = []
    for known, option in zip(problem.ways, solution.mapping, strict=True):
        used = [way for way in known if way.grid.option == option]
        ways.append((*used, *[way for way in known if way not in used][: 2 - len(used)]))
    problem = replace(problem, ways=tuple(ways))
    decisions_ = from_solution(problem, solution)
    return None if decisions_ is None else (problem, decisions_, found.queue_free_cycles)


def confirmed(seeds: range) -> int:
    """How many random solutions there were; for each the model with fixed decisions has the queue-free latency."""
    count = 0
    for seed in seeds:
        case = random_problem(seed)
        if case is None:
            continue
        problem, decisions_, latency = case
        model, y = cpsat.build(problem)
        run = cpsat.completed(model, y, decisions_)
        assert (seed, run.status, run.objective) == (seed, Status.OPTIMAL, latency)
        again = evaluate(to_solution(problem, decisions_, {}))
        assert again.queue_free_cycles == latency
        count += 1
    return count


def test_fixed_decisions_have_the_evaluators_latency() -> None:
    assert confirmed(range(80)) >= 3


@pytest.mark.slow
def test_fixed_decisions_have_the_evaluators_latency_often() -> None:
    assert confirmed(range(80, 800)) >= 30


def every_decision(problem: JointProblem) -> Iterator[Decisions]:
    """All options, copies, places and window splits of a problem; begins left at 0."""
    layers = [list(_layer_decisions(problem, layer)) for layer in problem.layers]
    for chosen in itertools.product(*layers):
        ways = tuple(way for way, _, _ in chosen)
        crossbar = {(layer, c, i): k for layer, (_, placed, _) in enumerate(chosen) for (c, i), k in placed.items()}
        copy = {(layer, w): c for layer, (_, _, run) in enumerate(chosen) for w, c in enumerate(run)}
        yield Decisions(ways, crossbar, copy, dict.fromkeys(copy, 0))


def _layer_decisions(
    problem: JointProblem, layer: int
) -> Iterator[tuple[int, dict[tuple[int, int], int], tuple[int, ...]]]:
    for v, way in enumerate(problem.ways[layer]):
        for run in itertools.product(range(problem.copies[layer]), repeat=way.grid.windows):
            copies = max(run) + 1
            if list(dict.fromkeys(run)) != list(range(copies)):
                continue
            keys = list(itertools.product(range(copies), range(len(way.sizes))))
            for places in itertools.product(problem.crossbars, repeat=len(keys)):
                yield v, dict(zip(keys, places, strict=True)), run


def best_by_enumeration(problem: JointProblem) -> int:
    """Least latency by the evaluator: all decisions, and all orders of windows on crossbars, each as soon as possible.

    Windows begin one after the other in a given order of all windows, each as early as the evaluator allows: when its
    inputs are there (found by asking for cycle 0) and the crossbars are free.
    """
    best = None
    for decisions_ in every_decision(problem):
        for order in itertools.permutations(decisions_.copy):
            latency = _latency_in_order(problem, decisions_, order)
            if latency is not None:
                best = latency if best is None else min(best, latency)
    assert best is not None
    return best


def _latency_in_order(problem: JointProblem, decisions_: Decisions, order: tuple[tuple[int, int], ...]) -> int | None:
    """Latency when windows are given out in this order, each beginning after those before it on its crossbars.

    None if the order is impossible: a window before one of its inputs, or too many OUs on a crossbar.
    """
    begin = {key: 60 * (rank + 1) for rank, key in enumerate(order)}
    first = evaluate(to_solution(problem, replace(decisions_, begin=begin), {}))
    if set(first.families) - {"reservation"}:
        return None
    for key in order:  # move windows one by one to the earliest begin at which the solution stays valid
        low, high = 0, begin[key]
        while low < high:
            middle = (low + high) // 2
            trial = evaluate(to_solution(problem, replace(decisions_, begin={**begin, key: middle}), {}))
            low, high = (low, middle) if trial.valid else (middle + 1, high)
        begin[key] = high
    found = evaluate(to_solution(problem, replace(decisions_, begin=begin), {}))
    return found.latency_cycles if found.valid else None


def smallest(kind: str) -> tuple[Network, Architecture]:
    """Instances with a few dozen decisions."""
    b = Builder(kind, "made by hand for tests")
    if kind == "two layers share":
        x = b.conv(b.input(2, 1, 2), 2, 1)
        b.fc(x, 2)
        return b.build(), replace(CHIP, crossbar_rows=6)
    if kind == "pool":
        x = b.conv(b.input(1, 1, 2), 2, 1)
        b.pool(x, "max", (1, 2))
        return b.build(), CHIP
    x = b.conv(b.input(2, 1, 1), 4, 1)
    b.add(x, b.conv(x, 4, 1))
    return b.build(), replace(CHIP, pipeline_tail_cycles=0)


@pytest.mark.parametrize("kind", ["pool", pytest.param("add", marks=pytest.mark.slow)])
def test_enumeration_and_model_agree(kind: str) -> None:
    network, chip = smallest(kind)
    problem = make(network, chip)
    assert best_by_enumeration(problem) == solved(network, chip)


@pytest.mark.slow
def test_enumeration_and_model_agree_where_layers_take_turns() -> None:
    network, chip = smallest("two layers share")
    problem = make(network, chip, schemes=("im2col",), most_copies=1)
    assert best_by_enumeration(problem) == solved(network, chip, schemes=("im2col",), most_copies=1)


# --- generated instances ---------------------------------------------------------------------------------------------


def against_the_heuristic(seed: int, time_limit: float) -> tuple[int, int]:
    """Heuristic latency and joint objective of a tiny instance, after all that must hold between them."""
    network, chip = tiny_instance(seed)
    decoupled = front_end.solve(network, chip)
    found = cpsat.solve(make(network, chip), time_limit=time_limit, workers=2, hint=decoupled.solution)
    assert found.solution is not None
    assert found.objective is not None
    assert decoupled.value is not None
    confirmed_ = evaluate(found.solution)
    assert (confirmed_.valid, confirmed_.latency_cycles) == (True, found.objective)
    assert bounds.latency(network, chip).value <= found.bound <= found.objective <= decoupled.value
    assert found.solution.claims["joint"]["status"] == str(found.status)
    return decoupled.value, found.objective


@pytest.mark.parametrize("seed", [4, 9])
def test_joint_optimum_lies_between_bound_and_heuristic(seed: int) -> None:
    against_the_heuristic(seed, 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(TINY))
def test_joint_result_lies_between_bound_and_heuristic_on_all(seed: int) -> None:
    against_the_heuristic(seed, 8)


def test_tiny_instances_are_many_kinds_and_deterministic() -> None:
    made = [tiny_instance(seed) for seed in range(TINY)]
    again = tiny_instance(7)
    assert ([n.op for n in made[7][0].nodes], made[7][1]) == ([n.op for n in again[0].nodes], again[1])
    ops = {node.op for network, _ in made for node in network.nodes}
    assert {"conv", "fc", "add", "max_pool"} <= ops
    assert any(node.weights and node.weights.groups > 1 for network, _ in made for node in network.nodes)
    assert any(len(edge.producers) > 1 for network, _ in made for node in network.nodes for edge in node.edges)
    assert {chip.tiles for _, chip in made} == {1, 2, 3, 4}
    assert all(2 <= len(network.layers) <= 4 for network, _ in made)
    assert not any(isinstance(within_reach(network, chip), str) for network, chip in made)


# --- families --------------------------------------------------------------------------------------------------------

FLIPS = dict.fromkeys(cpsat.FAMILIES, 38) | {"digital": 4}
"""Tiny instance on which leaving a data family out lowers the optimum."""


@pytest.fixture(scope="module")
def optimum() -> dict[int, int]:
    """Proven optima of the instances of :data:`FLIPS`."""
    return {seed: solved(*tiny_instance(seed)) for seed in set(FLIPS.values())}


@pytest.mark.parametrize("family", sorted(set(cpsat.FAMILIES) - cpsat.REDUNDANT - cpsat.SYMMETRY))
def test_without_a_data_family_the_optimum_is_too_low(family: str, optimum: dict[int, int]) -> None:
    seed = FLIPS[family]
    assert solved(*tiny_instance(seed), without=(family,)) < optimum[seed]


@pytest.mark.parametrize("family", sorted(cpsat.REDUNDANT | cpsat.SYMMETRY))
def test_without_other_families_the_optimum_stays(family: str, optimum: dict[int, int]) -> None:
    seed = 4 if family == "crossbar_order" else 9  # 9 has one crossbar in a tile
    assert solved(*tiny_instance(seed), without=(family,)) == (optimum[4] if seed == 4 else solved(*tiny_instance(9)))


def test_work_counts_only_matrix_rows_that_exist() -> None:
    """Stride 3 over kernel 1: a patch of two windows has input rows that neither reads."""
    b = Builder("gaps", "made by hand for tests")
    b.fc(b.conv(b.input(1, 4, 2), 2, (1, 2), (3, 1)), 1)
    chip = replace(CHIP, mesh_cols=1, crossbars_per_pe=2, crossbar_rows=12, crossbar_cols=8, buffer_bits_per_cycle=1)
    problem = make(b.build(), chip)
    patch = next(way for way in problem.ways[0] if way.frame == (2, 1))
    assert set(patch.row.tolist()) == {0, 3}
    problem = replace(problem, ways=((patch,), problem.ways[1]))
    with_work, without = (run_cpsat(cpsat.build(problem, f)[0], LIMITS).objective for f in ((), ("work",)))
    assert with_work == without


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 4, 9, 14, 16, 18])
def test_without_all_other_families_the_optimum_stays(seed: int) -> None:
    network, chip = tiny_instance(seed)
    start = front_end.solve(network, chip).solution
    whole = cpsat.solve(make(network, chip), time_limit=60, hint=start)
    without = tuple(cpsat.REDUNDANT | cpsat.SYMMETRY)
    bare = cpsat.solve(make(network, chip), time_limit=60, hint=start, without=without)
    assert whole.status is Status.OPTIMAL
    assert bare.bound is not None
    assert bare.objective == whole.objective or bare.status is not Status.OPTIMAL
    assert bare.bound <= whole.objective


def test_a_solution_of_a_model_without_capacity_is_rejected() -> None:
    network, chip = tiny_instance(38)
    model, y = cpsat.build(make(network, chip), ("capacity",))
    run = run_cpsat(model, LIMITS)
    found = evaluate(to_solution(y.problem, read(y, run.value), {}))
    assert "capacity" in found.families
    with pytest.raises(ModelError, match="capacity"):
        cpsat.accepted(to_solution(y.problem, read(y, run.value), {}))


def test_a_latency_that_the_evaluator_does_not_find_is_a_model_error() -> None:
    network, chip = tiny_instance(9)
    model, y = cpsat.build(make(network, chip))
    run = run_cpsat(model, LIMITS)
    solution = to_solution(y.problem, read(y, run.value), {})
    settled, latency = cpsat.accepted(solution, run)
    assert evaluate(settled).families == ()
    assert latency is not None
    assert latency >= run.objective  # queues only make it later
    assert evaluate(settled).latency_cycles == latency
    with pytest.raises(ModelError, match="claims"):
        cpsat.accepted(solution, replace(run, objective=run.objective - 1))
    with pytest.raises(ModelError, match="claims"):
        cpsat.accepted(solution, replace(run, objective=run.objective + 1))


def test_readme_and_code_name_the_same_families() -> None:
    rows = re.findall(r"^\| (J\d+) \| `(\w+)` \| .* \| (\w+) \|$", README.read_text(), re.MULTILINE)
    code = [(re.findall(r"\((J\d+)\)", add.__doc__ or "")[0], name) for name, add in cpsat.FAMILIES.items()]
    assert [(label, name) for label, name, _ in rows] == code
    assert {name for _, name, kind in rows if kind == "redundant"} == cpsat.REDUNDANT
    assert {name for _, name, kind in rows if kind == "symmetry"} == cpsat.SYMMETRY
    assert all(".. math::" in (add.__doc__ or "") for add in cpsat.FAMILIES.values())


def test_constraints_carry_the_names_of_their_families() -> None:
    model, _ = cpsat.build(make(*tiny_instance(4)))
    names = {c.name.partition("[")[0] for c in model.proto.constraints if not c.has_interval()}
    assert names == set(cpsat.FAMILIES)


# --- hints -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 3, 13])
def test_the_hint_is_complete_and_feasible(seed: int) -> None:
    network, chip = tiny_instance(seed)
    start = front_end.solve(network, chip)
    problem = make(network, chip)
    inside = from_solution(problem, start.solution)
    assert inside is not None
    model, y = cpsat.build(problem, upper=start.value)
    cpsat.add_hint(model, y, inside)
    assert len(model.proto.solution_hint.vars) == len(model.proto.variables)
    log = run_cpsat(model, replace(LIMITS, time_limit=0.3), log=True).log
    assert "The solution hint is complete and is feasible" in log


def test_a_hint_that_violates_the_model_is_a_model_error() -> None:
    network, chip = tiny_instance(9)
    start = front_end.solve(network, chip)
    problem = make(network, chip)
    inside = from_solution(problem, start.solution)
    assert inside is not None
    model, y = cpsat.build(problem)
    with pytest.raises(ModelError, match="violates"):
        cpsat.add_hint(model, y, replace(inside, begin=dict.fromkeys(inside.begin, 0)))


def test_solutions_outside_the_space_give_no_hint() -> None:
    network, chip = smallest("pool")
    solution = cpsat.solve(make(network, chip), time_limit=10).solution
    assert solution is not None
    assert from_solution(make(network, chip), solution) is not None
    one = make(network, chip, most_copies=1)
    assert (from_solution(one, solution) is None) == (solution.placement.copy.max() > 0)
    other = replace(solution, mapping=(MappingOption("parallel-window", "slotted", 1, 2),))
    assert from_solution(make(network, chip, schemes=("im2col",)), other) is None


def test_order_of_copies_and_crossbars_is_canonical() -> None:
    network, chip = smallest("pool")
    problem = make(network, replace(chip, crossbars_per_pe=2, mesh_cols=1))
    swapped = Decisions((0,), {(0, 0, 0): 1, (0, 1, 0): 0}, {(0, 0): 1, (0, 1): 0}, {(0, 0): 5, (0, 1): 9})
    found = ordered(problem, swapped)
    assert found.copy == {(0, 0): 0, (0, 1): 1}
    assert found.crossbar == {(0, 0, 0): 0, (0, 1, 0): 1}
    assert found.begin == swapped.begin


# --- reach, price, refusals ------------------------------------------------------------------------------------------


def test_price_of_decoupling() -> None:
    """With routers so fast that nothing waits the model is no relaxation, and what it proves is the optimum."""
    network, chip = tiny_instance(4)
    chip = replace(chip, router_bits_per_cycle=10**6)
    decoupled = front_end.solve(network, chip)
    found = decoupling_price(network, chip, decoupled, 60.0)
    assert found.joint is not None
    assert found.proven
    assert found.percent == pytest.approx(100 * (decoupled.value / found.joint.objective - 1))
    assert found.percent_at_most == found.percent
    assert str(found).startswith(f"price of decoupling: {found.percent:.1f} % ({decoupled.value} cycles, ")


def test_an_interrupted_price_is_a_range() -> None:
    network, chip = tiny_instance(2)
    decoupled, false = front_end.solve(network, chip), iter([False] * 3)
    found = decoupling_price(network, chip, decoupled, 600.0, workers=1, stop=lambda: next(false, True))
    assert found.joint is not None
    assert (found.joint.status, found.proven) == (Status.FEASIBLE, False)
    assert found.joint.objective is not None
    assert found.joint.bound is not None
    assert found.joint.bound < found.joint.objective <= found.latency


def test_price_without_proof_is_a_range() -> None:
    network, chip = tiny_instance(2)
    found = decoupling_price(network, chip, front_end.solve(network, chip), 0.5, workers=1)
    assert not found.proven
    assert found.percent < found.percent_at_most
    assert " % to " in str(found)


def test_price_beyond_reach_says_why() -> None:
    network, chip = load("lenet5"), load_architecture("ou-isaac-2x2", {"adc_bits": 5})
    assert estimate(network, chip) > LARGEST
    found = decoupling_price(network, chip, front_end.solve(network, chip), 1.0)
    assert (found.joint, found.percent) == (None, None)
    assert "beyond reach" in str(found)


def test_price_needs_a_solution_of_least_latency() -> None:
    network, chip = tiny_instance(9)
    found = decoupling_price(network, chip, replace(front_end.solve(network, chip), objective="communication"), 1.0)
    assert found.joint is None
    assert "least latency" in found.reason


def test_estimate_never_exceeds_the_decisions_of_the_model() -> None:
    for seed in range(TINY):
        network, chip = tiny_instance(seed)
        assert estimate(network, chip) <= decisions(make(network, chip))


def test_instances_where_buffers_may_bind_are_refused() -> None:
    network, chip = tiny_instance(6)
    tight = replace(chip, buffer_bits=8)
    with pytest.raises(InstanceError, match="buffer bits"):
        make(network, tight)
    assert "beyond reach" in str(within_reach(network, tight))


@pytest.mark.parametrize("field", ["router_bits_per_cycle", "buffer_bits_per_cycle"])
def test_slow_routers_and_ports_are_not_refused_and_the_bound_holds(field: str) -> None:
    """The model has no queues: its bound is below the replayed latency of its own solution."""
    network, chip = tiny_instance(6)
    problem = make(network, replace(chip, **{field: 1}))
    found = cpsat.solve(problem, time_limit=240, workers=1, deterministic_limit=2.0)
    assert found.solution is not None
    assert found.bound is not None
    replayed = evaluate(found.solution)
    assert replayed.valid
    assert found.objective == replayed.latency_cycles
    assert found.bound <= (replayed.queue_free_cycles or 0) <= (replayed.latency_cycles or 0)


def test_too_many_weights_are_infeasible_with_numbers() -> None:
    network, chip = tiny_instance(6)
    found = cpsat.solve(make(network, replace(chip, mesh_rows=1, mesh_cols=1, crossbars_per_pe=1)), time_limit=5)
    assert found.status is Status.INFEASIBLE
    assert found.shortage is not None
    assert found.shortage.demand > found.shortage.capacity


def test_without_a_hint_the_model_finds_its_own_solution() -> None:
    model, y = cpsat.build(make(*tiny_instance(9)))
    assert y.upper == cpsat.horizon(y.problem)
    run = run_cpsat(model, LIMITS)
    assert run.solved
    assert run.objective == cpsat.solve(make(*tiny_instance(9)), time_limit=20).objective
    start = front_end.solve(*tiny_instance(9)).solution
    assert run.objective == cpsat.solve(make(*tiny_instance(9)), time_limit=20, hint=start).objective
