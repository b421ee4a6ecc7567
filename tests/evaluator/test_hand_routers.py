"""Packets that meet: cases derived by hand from M6-M8 (``formulations/README.md``).

Chip: ``hand_routers.LINE``. A pixel of one channel for tile `d` passes `1 + d` routers, alone in `1 + d + 1` cycles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spatem_opt.evaluator import evaluate
from spatem_opt.model.solution import Solution
from tests.evaluator.brute import Brute
from tests.evaluator.hand import with_chip
from tests.evaluator.hand_routers import fork, merge, one_port, order, ports, sums

Case = tuple[Callable[[], Solution], int, int, int]

# fork: A computes 16, loads 1, interval 17; its inputs are at tile 0 at cycles 2, 3, 4, 5, so its windows begin at 2,
#   19, 36, 53, the last is done at 53 + 17 + 5 = 75. Without queues its pixel is at C at 75 + 3 + 1 = 79: 79 + 17 + 5
#   = 101 (B a cycle earlier). With queues router 0 passes B's packet first (75 to 76): C's is there at 80, done 102.
#   With multicast one packet serves both.
# sums: two packets of 9 * 16 = 144 bits (9 cycles), there at 1 + 9 = 10 and 2 + 9 = 11 without queues; load 9,
#   compute 16: 11 + 25 = 36; the partial sum of 16 bits takes 2 + 1: 39, done 44. With queues the second packet
#   enters at 9, passes router 1 at 10 and is there at 20: 20 + 25 + 3 + 5 = 53. Multicast: 288 bits over router 0,
#   there at 1 + 18 = 19; over router 1, head at 1, only 144: 11. So 19 + 25 + 3 + 5 = 52.
# merge: four filters are four OUs: compute 64, load 1, interval 65. Without queues the pixel is at A at 2, at B at 3;
#   done at 72 and 73. 64 bits take 4 cycles: at C at 72 + 3 + 4 = 73 + 2 + 4 = 79. C loads 128 bits in 8 cycles,
#   computes 16: 79 + 24 + 5 = 108. With queues the pixel for B enters at 1 and is there at 4, B is done at 74. A's
#   packet passes router 1 from 73 to 77, B's from 77, router 2 from 78 (A's left it at 78): there at 83, done 83 + 29
#   = 112. The entry lets one multicast packet through: B is there at 3 again, done 73, when A's head arrives at
#   router 1 as well. A is the earlier node: 73 to 77; B's passes from 77 as before, done 112.
# order: C on tile 0 hears A at once, B (done at 73, with queues 74) after 2 + 4 cycles, at 79 or 80. Reserved from
#   100: 100 + 24 + 5 = 129 in both. From 0, where A's row comes first in the table: 79 + 29 = 108, 80 + 29 = 109.
#   With multicast B is done at 73 again: 108.
# ports: two copies on a tile load 2 * 16 bits in 2 cycles: interval 18. Both pixels are there at 2: 2 + 18 + 5 = 25.
#   With queues the second enters at 1, is there at 3: 26. At the port it finds 16 bits served from 2 to 3 and is
#   served at 4, before its 2 cycles are over. Nothing goes to two tiles: multicast changes nothing.
CASES: dict[str, Case] = {
    "fork": (fork, 101, 102, 101),
    "sums": (sums, 44, 53, 52),
    "merge": (merge, 108, 112, 112),
    "order-100": (lambda: order(100), 129, 129, 129),
    "order-0": (lambda: order(0), 108, 109, 108),
    "ports": (ports, 25, 26, 26),
}

# From the middle: A on tile 1 has its pixels at 3, 4, 5, 6, begins 3, 20, 37, 54, is done at 54 + 17 + 5 = 76. B on
#   tile 0 and C on tile 2 are both 2 + 1 cycles away: 79 + 17 + 5 = 101. A shared router 1 passes the packet for tile
#   0 first: C at 80, 102. As links its two outputs serve both at once.
# Inputs by columns: every tile of the line is one router from its entry. sums: both packets are there at 1 + 9 = 10,
#   with queues as well: 10 + 25 + 3 + 5 = 43. merge: A and B are done at 2 + 65 + 5 = 72. Without queues A's packet
#   is at C at 72 + 3 + 4 = 79: 108. With queues B's passes router 1 from 72 to 76, A's, there at 73, from 76 and
#   router 2 from 77, which B's left at 77: at C at 77 + 1 + 4 = 82: 111. Links do not help: both leave router 1 by
#   the same output.
# One port: the pixel of 64 bits is there at 1 + 4 = 5; each layer counts a load of 4 cycles of its own, interval 20.
#   The port serves A until 9, B until 13. Without queues 5 + 20 + 5 = 30; B computes from 13 to 29: 34. Where loading
#   overlaps the interval is 16 and B's inputs, loaded at 13, do not end it later: 5 + 16 + 5 = 26. With phases of 16
#   bits (compute 1) the interval is 4, A ends at 9, B when it is loaded: 13 + 5 = 18, without queues 9 + 5 = 14.
CHIPS: dict[str, tuple[Callable[[], Solution], dict[str, Any], int, int]] = {
    "middle": (lambda: fork((1, 0, 2)), {}, 101, 102),
    "middle-links": (lambda: fork((1, 0, 2)), {"router_service": "links"}, 101, 101),
    "sums-columns": (sums, {"input_entry": "columns"}, 43, 43),
    "merge-columns": (merge, {"input_entry": "columns"}, 108, 111),
    "merge-links": (merge, {"input_entry": "columns", "router_service": "links"}, 108, 111),
    "port": (one_port, {}, 30, 34),
    "port-overlap": (one_port, {"overlap_input": True}, 26, 26),
    "port-overlap-short": (one_port, {"overlap_input": True, "dac_bits": 16}, 14, 18),
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


@pytest.mark.parametrize(("build", "chip", "free", "queued"), CHIPS.values(), ids=CHIPS.keys())
def test_plain_replay_on_other_chips(
    build: Callable[[], Solution], chip: dict[str, Any], free: int, queued: int
) -> None:
    found = Brute(with_chip(build(), **chip))
    assert (found.queue_free, found.latency) == (free, queued)


@pytest.mark.parametrize(("build", "chip", "free", "queued"), CHIPS.values(), ids=CHIPS.keys())
def test_evaluator_on_other_chips(build: Callable[[], Solution], chip: dict[str, Any], free: int, queued: int) -> None:
    found = evaluate(with_chip(build(), **chip))
    assert (found.queue_free_cycles, found.latency_cycles) == (free, queued)


def test_longest_queue() -> None:
    # sums: router 0 passes 144 bits from 0 and from 9, when the entry lets the second packet in; then the partial
    # sum, 16 bits, at 46: never more than 144 bits to pass when a head arrives. merge: at router 2, B's head arrives
    # at 78, when A's 64 bits are through; at router 1 it arrives at 74, when 48 bits of A's are left: 48 + 64 = 112.
    assert Brute(sums()).report()["router_queue"] == {0: 144, 1: 144}
    assert Brute(merge()).report()["router_queue"] == {0: 64, 1: 112, 2: 64}
    assert evaluate(sums()).arrays.router_queue_bits.tolist() == [144, 144, 0]
    assert evaluate(merge()).arrays.router_queue_bits.tolist() == [64, 112, 64]
