"""Which instances the joint model can reach, and the price of decoupling on those."""

from __future__ import annotations

from dataclasses import dataclass

from formulations.joint.problem import JointProblem, make
from formulations.solver import StepResult, Stop
from spatem_opt.errors import InstanceError
from spatem_opt.model import result
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Solution
from spatem_opt.network.layers import Network
from spatem_opt.search.result import Result

LARGEST = 20_000
"""Most decisions (:func:`decisions`) of a model that is built: about ten times what is proven within a minute."""


@dataclass(frozen=True, slots=True, eq=False)
class DecouplingPrice:
    """What solving the steps one after the other costs against solving them at once.

    Parameters
    ----------
    latency : int or None
        Of the decoupled solution [cycles].
    joint : StepResult or None
        Of the joint model; None if it was not tried.
    reason : str
        Why it was not tried; empty if it was.
    """

    latency: int | None
    joint: StepResult[Solution] | None = None
    reason: str = ""

    @property
    def proven(self) -> bool:
        """Whether the joint optimum is proven, hence the price exact."""
        return self.joint is not None and self.joint.status is result.Status.OPTIMAL

    @property
    def percent(self) -> float | None:
        """By how much the decoupled latency exceeds that of the joint solution [%]; None without one.

        If that is not proven optimal, the price is at least this.
        """
        return self._excess(None if self.joint is None else self.joint.objective)

    @property
    def percent_at_most(self) -> float | None:
        """By how much the decoupled latency exceeds the proven bound [%]; None without one."""
        return self._excess(None if self.joint is None else self.joint.bound)

    def _excess(self, cycles: int | None) -> float | None:
        if self.latency is None or not cycles:
            return None
        return 100 * (self.latency / cycles - 1)

    def __str__(self) -> str:
        if self.joint is None or self.percent is None or self.percent_at_most is None:
            return f"price of decoupling: unknown ({self.reason or 'no solution within the time limit'})"
        if self.proven:
            how = f"{self.latency} cycles, {self.joint.objective} proven optimal for all steps at once"
            return f"price of decoupling: {self.percent:.1f} % ({how})"
        how = f"{self.latency} cycles, all steps at once {self.joint.objective}, proven bound {self.joint.bound}"
        return f"price of decoupling: {self.percent:.1f} % to {self.percent_at_most:.1f} % ({how})"


def estimate(network: Network, architecture: Architecture) -> int:
    """Decisions of the model with im2col as the only option, from layer numbers alone: at any size in microseconds."""
    a, total = architecture, 0
    for index in network.layers:
        node = network.nodes[index]
        w = node.weights
        if w is None:
            continue
        columns = -(-w.out_channels * a.cells_per_weight(w.weight_bits) // a.ou_cols)
        ous = w.groups * -(-w.rows // a.ou_rows) * columns
        copies = max(1, min(node.windows, a.crossbars, a.crossbars * a.ou_slots // ous))
        total += copies * (node.windows + ous * a.crossbars)
    return total


def decisions(problem: JointProblem) -> int:
    """Boolean decisions of the model: where every OU of every copy is under every option, which copy runs a window."""
    total = 0
    for layer in problem.layers:
        windows = sum(int(problem.window_of(layer, frame).max()) + 1 for frame in problem.frames(layer))
        items = sum(len(way.sizes) for way in problem.ways[layer])
        total += problem.copies[layer] * (windows + items * len(problem.crossbars))
    return total


def within_reach(network: Network, architecture: Architecture) -> JointProblem | str:
    """The joint problem of an instance, or why the joint model is not built for it.

    Decided before anything is built: first by :func:`estimate`, then by :func:`decisions`, each at most
    :data:`LARGEST`; then by what ports, routers and buffers might see (:func:`formulations.joint.problem.make`).
    """
    rule = f"the joint model is built up to {LARGEST:,}"
    least = estimate(network, architecture)
    if least > LARGEST:
        return f"beyond reach: at least {least:,} decisions, {rule}"
    try:
        problem = make(network, architecture)
    except InstanceError as error:
        return f"beyond reach: {error}"
    count = decisions(problem)
    return problem if count <= LARGEST else f"beyond reach: {count:,} decisions, {rule}"


def decoupling_price(
    network: Network,
    architecture: Architecture,
    decoupled: Result,
    time_limit: float,
    *,
    seed: int = 0,
    workers: int = 2,
    stop: Stop | None = None,
) -> DecouplingPrice:
    """Price of decoupling: the latency of a solution found step by step against the joint optimum.

    Parameters
    ----------
    network, architecture
    decoupled : spatem_opt.search.result.Result
        Of :func:`spatem_opt.front_end.solve` with objective ``latency``.
    time_limit : float
        For the joint model, wall time [s].
    seed, workers : int
    stop : callable or None
        As in :class:`~formulations.solver.Limits`.

    Returns
    -------
    DecouplingPrice
        With a reason instead of a result where the instance is beyond reach or `decoupled` has no solution.

    Examples
    --------
    >>> from spatem_opt import load_architecture, load_network, solve
    >>> network, chip = load_network("lenet5"), load_architecture("ou-isaac-2x2", {"adc_bits": 5})
    >>> print(decoupling_price(network, chip, solve(network, chip), 60.0))  # doctest: +ELLIPSIS
    price of decoupling: unknown (beyond reach: at least ... decisions, the joint model is built up to 20,000)
    """
    if decoupled.solution is None or decoupled.objective != "latency":
        return DecouplingPrice(None, None, f"no solution of least latency to compare with ({decoupled.status})")
    problem = within_reach(network, architecture)
    if isinstance(problem, str):
        return DecouplingPrice(decoupled.value, None, problem)
    from formulations.joint import cpsat

    found = cpsat.solve(problem, time_limit=time_limit, seed=seed, workers=workers, hint=decoupled.solution, stop=stop)
    return DecouplingPrice(decoupled.value, found)
