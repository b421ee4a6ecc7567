"""The search: plans of planners, each scheduled and evaluated; planners learn what became of theirs.

It knows planners and tile exchanges by their protocols only. Who is next: in the first round every planner has a turn,
in the order given, until it passes, has no more plans, or has had :data:`TURN` of them; later rounds are for those that
passed and, if the search is endless, for all that have plans left: a few plans each, fewer rounds the longer a planner
was of no use (:data:`PATIENCE`). No rule depends on time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import TypeVar

from numpy.random import default_rng

from spatem_opt.errors import ModelError
from spatem_opt.evaluator import Evaluation
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Solution
from spatem_opt.network import Network
from spatem_opt.planning import registry
from spatem_opt.planning.exchanges import exchanged
from spatem_opt.planning.fit import misfit
from spatem_opt.planning.plan import Plan
from spatem_opt.planning.protocol import Outcome, Planner, Reason, Task, TileExchange, learn
from spatem_opt.planning.settings import Setting
from spatem_opt.search.budget import Budget
from spatem_opt.search.realisation import Scheduled, attempt, measure, rank
from spatem_opt.search.workers import Attempt, Workers

TURN, LATER = 32, 4
"""Plans of a planner in its first turn, if it does not pass before, and in a later one of an endless search in which
others have plans, too."""
MOST = 100
"""Times a planner is asked for a first answer."""
PATIENCE, RESTED = 8, 8
"""Plans in a row of which none was the best, after which a planner rests for twice as many rounds as before; and the
most rounds it does so."""

Answer = TypeVar("Answer")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """A solution that the evaluator accepts, its numbers, when it was found, and what it came from.

    ``plan`` is None for a solution that somebody else brought; ``replay_seconds``: about how long it takes to evaluate.
    """

    name: str
    solution: Solution
    evaluation: Evaluation
    value: int
    seconds: float
    plan: Plan | None = None
    replay_seconds: float = 0.0

    @property
    def planned(self) -> Plan:
        """The plan, where there must be one."""
        if self.plan is None:
            raise ModelError(f"{self.name}: a solution that was brought along has no plan")
        return self.plan

    @property
    def setting(self) -> Setting | None:
        """What the segment search was told; None for plans of other makers."""
        origin = None if self.plan is None else self.plan.origin
        return origin if isinstance(origin, Setting) else None


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What a search is told.

    Parameters
    ----------
    task : Task
    planners : sequence of Planner
        In the order of their first turns.
    exchanges : sequence of TileExchange
        Tried on every better solution.
    seed : int
        Every planner has a generator of this seed, so that its plans do not hang on who else is there.
    workers : int
        Processes that make and schedule plans; with one no other than this. First answers do not depend on it.
    stop : callable, optional
        The search ends once it is true and there is a solution, or every planner has had its first turn.
    budget : Budget
        Once it is used up, what is being tried is given up, too.
    tell : callable, optional
        Told in a few words what is going on.
    """

    task: Task
    planners: Sequence[Planner]
    exchanges: Sequence[TileExchange] = ()
    seed: int = 0
    workers: int = 1
    stop: Callable[[], bool] | None = None
    budget: Budget = field(default_factory=lambda: Budget(None))
    tell: Tell | None = None

    def run(self, start: Evaluated | None = None) -> Generator[Evaluated, None, None]:
        """Evaluated solutions, one after the other as they are found; not necessarily better and better.

        With a ``start`` others must be better than that; it is not among them.
        """
        with Workers(self.task, self.workers if self.workers > 1 else 0) as crew:
            yield from _Run(self, crew, start).found()


def search(
    network: Network,
    architecture: Architecture,
    objective: str,
    method: str = "heuristic",
    progress: Tell | None = None,
    *,
    seed: int = 0,
    stop: Callable[[], bool] | None = None,
    latency_limit: int | None = None,
    workers: int = 1,
    budget: Budget | None = None,
) -> Generator[Evaluated, None, None]:
    """Search by the usual planners, or by the one named ``method``; endless with ``stop``. See :class:`Search`."""
    task = Task(network, architecture, objective, latency_limit, endless=stop is not None)
    alone = method in registry.OWN_PLANNERS
    planners = [registry.planner(method)] if alone else registry.usual(task.policy)
    exchanges = () if alone else usual_exchanges(task)
    budget = Budget(None) if budget is None else budget
    return Search(task, planners, exchanges, seed, workers, stop, budget, progress).run()


def usual_exchanges(task: Task) -> tuple[TileExchange, ...]:
    """Those of the objective."""
    return tuple(registry.exchange(name, task.tuning) for name in task.policy.exchanges)


@dataclass(slots=True, eq=False)
class _Seat:
    """A planner at the table.

    ``idle`` counts its plans since one was the best, ``rests`` the rounds it sits out, ``pause`` how many the next
    time, ``asked`` how often it was asked for a plan; ``passed`` whether it ever passed, ``done`` if it has no more.
    """

    planner: Planner
    plans: Iterator[Plan | None]
    idle: int = 0
    rests: int = 0
    pause: int = 1
    asked: int = 0
    done: bool = False
    passed: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is of this package: then a plan that breaks a rule is a bug of ours."""
        return type(self.planner).__module__.partition(".")[0] == __name__.partition(".")[0]

    @property
    def ahead(self) -> bool:
        """Whether the next plan does not hang on outcomes."""
        return bool(getattr(self.planner, "ahead", False))

    def resting(self) -> bool:
        """Whether it sits out this round."""
        self.rests -= 1
        return self.rests >= 0

    def next(self) -> Plan | None:
        """Its next plan; None if it passes, or is done."""
        self.asked += 1
        try:
            plan = next(self.plans)
        except StopIteration:
            self.done = True
            return None
        self.passed |= plan is None
        return plan

    def judged(self, *, best: bool) -> None:
        """Take note of whether a plan was the best."""
        self.idle = 0 if best else self.idle + 1
        if best:
            self.pause = 1
        elif self.idle >= PATIENCE:
            self.idle, self.rests, self.pause = 0, self.pause, min(2 * self.pause, RESTED)


LATE = (Reason.TOO_SLOW, Reason.ROUTER, Reason.PORT)
"""What plans are that take longer than is asked for."""
Pulled = tuple[_Seat, Plan, Attempt | Outcome]


class _Run:
    """One search at work.

    ``rank`` is what must be beaten, ``varied`` whether all planners had their first turn, ``errors`` the least replayed
    latency over the estimate, of each kind of plans.
    """

    def __init__(self, search: Search, crew: Workers, start: Evaluated | None) -> None:
        self.search, self.task, self.crew = search, search.task, crew
        self.begun = time.monotonic()
        self.rank: tuple[int, int] | None = None
        self.varied = False
        self.errors: dict[str, float] = {}
        if start is not None:
            self.rank = rank(start.evaluation, self.task.objective)
            self.task.best = self.rank[0]

    def found(self) -> Iterator[Evaluated]:
        """Schedule and evaluate one plan after the other, and tell its planner what became of it."""
        turns = self._turns()
        while not self._ended():  # also before others are planned, to tell which is next
            pulled = self._within("what is next", partial(next, turns, None))
            if pulled is None or self._ended():
                return
            if pulled == ():
                continue
            seat, plan, make = pulled
            if self.search.tell is not None:
                self.search.tell(plan.name)
            made = self._within(plan.name, partial(self._tried, seat, plan, make))
            if made is None:
                return
            outcome = self._judged(plan, made)
            learn(seat.planner, plan, outcome)
            seat.judged(best=outcome.reason is Reason.ACCEPTED)
            if isinstance(made, Scheduled):
                yield self._evaluated(plan.name, made)
                if outcome.reason is Reason.ACCEPTED:
                    yield from self._exchanged(seat, made)

    def _settled(self) -> bool:
        return self.task.best is not None or self.varied

    def _ended(self) -> bool:
        stop = self.search.stop
        return self._settled() and ((stop is not None and stop()) or self.search.budget.over())

    def _within(self, what: str, work: Callable[[], Answer]) -> Answer | None:
        return self.search.budget.spend(f"search, {what}", work, self._settled)

    def _evaluated(self, name: str, made: Scheduled) -> Evaluated:
        value, seconds = measure(made.evaluation, self.task.objective), time.monotonic() - self.begun
        return Evaluated(name, made.solution, made.evaluation, value, seconds, made.plan, made.replay_seconds)

    def _turns(self) -> Iterator[Pulled | tuple[()]]:
        """Everything that is tried, in turn; empty where a planner passed, so that the search may end there."""
        task, seed = self.task, self.search.seed
        seats = [_Seat(planner, planner.plans(task, default_rng(seed))) for planner in self.search.planners]
        for seat in seats:
            yield from self._turn(seat, TURN)
        self.varied = True
        while True:
            seats = [s for s in seats if not s.done and (task.endless or (s.passed and s.asked < MOST))]
            if not seats:
                return
            for seat in seats:
                if not task.endless:
                    yield from self._turn(seat, MOST - seat.asked)
                elif len(seats) == 1 or not seat.resting():
                    yield from self._turn(seat, LATER if len(seats) > 1 else inf)
                yield ()

    def _turn(self, seat: _Seat, number: float) -> Iterator[Pulled]:
        """Up to so many plans of a planner; each helper is at one, if they do not hang on each other."""
        waiting: deque[Pulled] = deque()
        more = True
        while more or waiting:
            while more and number > 0 and (not waiting or (seat.ahead and len(waiting) <= self.crew.helpers)):
                plan = seat.next()
                more = plan is not None
                if plan is not None:
                    waiting.append((seat, plan, self._attempt(seat, plan)))
                    number -= 1
            more = more and number > 0
            if waiting:
                yield waiting.popleft()

    def _attempt(self, seat: _Seat, plan: Plan) -> Attempt | Outcome:
        """Have a plan scheduled, by a helper if there is one and it does not have to be known at once."""
        wrong = None if seat.ours else misfit(plan, self.task)
        if wrong is not None:
            return Outcome(Reason.NO_FIT, detail=wrong)
        if self.crew.helpers and seat.ahead and seat.ours and not self._late(plan) and not self.task.known(plan):
            return self.crew.attempt(plan, self.task.limit)
        return lambda: attempt(plan, self.task, self.task.limit)

    def _tried(self, seat: _Seat, plan: Plan, make: Attempt | Outcome) -> Scheduled | Outcome:
        """What comes of a plan; nothing if it was tried before, or can hardly be fast enough."""
        if isinstance(make, Outcome):
            return make
        known = self.task.verdicts.get(plan.digest())
        if known is not None:
            return Outcome(Reason.NOT_BETTER if known is Reason.ACCEPTED else known, known=True)
        if self._late(plan):
            return Outcome(Reason.TOO_SLOW)
        try:
            made = make()
        except (ModelError, ValueError, IndexError) as error:
            if seat.ours:
                raise
            return Outcome(Reason.NO_FIT, detail=str(error))
        limit = self.task.limit
        if isinstance(made, Reason):
            if made in LATE:
                self._learn_error(plan, limit)
            return Outcome(made)
        took = made.evaluation.latency_cycles or 0
        late = limit is not None and took >= limit  # helpers began when the limit was another one
        self._learn_error(plan, limit if late else took)
        return Outcome(Reason.TOO_SLOW) if late else made

    def _learn_error(self, plan: Plan, least: int | None) -> None:
        """Take note of how far off an estimate was: it took that many cycles, or more."""
        if least is not None and plan.estimate:
            error = least / plan.estimate
            self.errors[plan.kind] = min(error, self.errors.get(plan.kind, error))

    def _late(self, plan: Plan) -> bool:
        """Whether a plan can hardly be fast enough."""
        goal = self.task.goal
        if goal is None or not plan.allocations:
            return False
        if plan.estimate is None:
            return plan.busiest >= goal
        error = self.task.tuning.plans.believed * self.errors.get(plan.kind, 0.0) if plan.tolerance < inf else 0.0
        return plan.estimate * max(1 / plan.tolerance, error) > goal

    def _judged(self, plan: Plan, made: Scheduled | Outcome) -> Outcome:
        """What to tell the planner; what is better counts from now on."""
        outcome = made if isinstance(made, Outcome) else self._outcome(made)
        if outcome.reason is not Reason.NO_FIT:
            self.task.verdicts.setdefault(plan.digest(), outcome.reason)
        return outcome

    def _outcome(self, made: Scheduled) -> Outcome:
        found, objective = made.evaluation, self.task.objective
        better = self.rank is None or rank(found, objective) < self.rank
        if better:
            self.rank = rank(found, objective)
            self.task.best = self.rank[0]
        reason = Reason.ACCEPTED if better else Reason.NOT_BETTER
        return Outcome(reason, value=measure(found, objective), latency=found.latency_cycles, solution=made.solution)

    def _exchanged(self, seat: _Seat, made: Scheduled) -> Iterator[Evaluated]:
        """What comes of a better plan with tiles exchanged."""
        for exchange in self.search.exchanges:
            moved = self._within(f"{made.plan.name}, moved", partial(self._moved, exchange, made.plan))
            if isinstance(moved, Scheduled):
                outcome = self._outcome(moved)
                if outcome.reason is Reason.ACCEPTED:
                    learn(seat.planner, moved.plan, outcome)
                    yield self._evaluated(f"{moved.plan.name}, moved", moved)

    def _moved(self, exchange: TileExchange, plan: Plan) -> Scheduled | Reason:
        plan = exchanged(plan, exchange, self.task.network, self.task.architecture)
        return attempt(plan, self.task, self.task.limit)
