"""Packets that meet: five cases derived by hand from M6-M8 (``formulations/README.md``).

Chip: ``hand_routers.LINE``. A pixel of one channel for tile `d` passes `1 + d` routers: alone it takes `1 + d + 1` cycles.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spatem_opt.evaluator import evaluate
from spatem_opt.solution import Solution
from tests.evaluator.brute import Brute
from tests.evaluator.hand import with_chip
from tests.evaluator.hand_routers import fork, merge, order, ports, sums

Case = tuple[Callable[[], Solution], int, int, int]

# fork: A computes 16, loads 1, interval 17; its inputs are at tile 0 at cycles 2, 3, 4, 5, so its windows begin at 2, 19,
#   36, 53, the last is done at 53 + 17 + 5 = 75. Without queues its pixel is at C at 75 + 3 + 1 = 79: 79 + 17 + 5 = 101
#   (B a cycle earlier). With queues router 0 passes B's packet first (75 to 76): C's is there at 80, done 102. With
#   multicast one packet serves both.
# sums: two packets of 9 * 16 = 144 bits (9 cycles), there at 1 + 9 = 10 and 2 + 9 = 11 without queues; load 9, compute 16:
#   11 + 25 = 36; the partial sum of 16 bits takes 2 + 1: 39, done 44. With queues the second packet enters at 9, passes
#   router 1 at 10 and is there at 20: 20 + 25 + 3 + 5 = 53. Multicast: 288 bits over router 0, there at 1 + 18 = 19; over
#   router 1, head at 1, only 144: 11. So 19 + 25 + 3 + 5 = 52.
# merge: four filters are four OUs: compute 64, load 1, interval 65. Without queues the pixel is at A at 2, at B at 3; done
#   at 72 and 73. 64 bits take 4 cycles: at C at 72 + 3 + 4 = 73 + 2 + 4 = 79. C loads 128 bits in 8 cycles, computes
#   16: 79 + 24 + 5 = 108. With queues the pixel for B enters at 1 and is there at 4, B is done at 74. A's packet passes
#   router 1 from 73 to 77, B's from 77, router 2 from 78 (A's left it at 78): there at 83, done 83 + 29 = 112. The
#   entry lets one multicast packet through: B is there at 3 again, done 73, when A's head arrives at router 1 as well.
#   A is the earlier node: 73 to 77; B's passes from 77 as before, done 112.
# order: C on tile 0 hears A at once, B (done at 73, with queues 74) after 2 + 4 cycles, at 79 or 80. Reserved from
#   100: 100 + 24 + 5 = 129 in both. From 0, where A's row comes first in the table: 79 + 29 = 108, 80 + 29 = 109.
#   With multicast B is done at 73 again: 108.
# ports: two copies on a tile load 2 * 16 bits in 2 cycles: interval 18. Both pixels are there at 2: 2 + 18 + 5 = 25. With
#   queues the second enters at 1, is there at 3: 26. At the port it finds 16 bits served from 2 to 3 and is served at
#   4, before its 2 cycles are over. Nothing goes to two tiles: multicast changes nothing.
CASES: dict[str, Case] = {
    "fork": (fork, 101, 102, 101),
    "sums": (sums, 44, 53, 52),
    "merge": (merge, 108, 112, 112),
    "order-100": (lambda: order(100), 129, 129, 129),
    "order-0": (lambda: order(0), 108, 109, 108),
    "ports": (ports, 25, 26, 26),
}
each = pytest.mark.parametrize(("build", "free", "queued", "tree"), CASES.values(), ids=CASES.keys())


@each
def test_plain_replay(build: Callable[[], Solution], free: int, queued: int, tree: int) -> None:
    found = Brute(build())
    assert (found.queue_free, found.latency) == (free, queued)
    assert Brute(with_chip(build(), multicast=True)).latency == tree


@each
def test_evaluator(build: Callable[[], Solution], free: int, queued: int, tree: int) -> None:
    found = evaluate(build())
    assert (found.queue_free_cycles, found.latency_cycles) == (free, queued)
    assert evaluate(with_chip(build(), multicast=True)).latency_cycles == tree
