"""Long runs as processes of their own: signals, killed parents, runs that go on, several at once.

Times here are guards against hanging, wide enough for a crowded machine; nothing is asserted about speed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from spatem_opt.evaluator import evaluate
from spatem_opt.exchange.solutions import read_solution
from spatem_opt.network.json_io import to_json
from spatem_opt.study.store import Store
from spatem_opt.testing import tiny_instance

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

GUARD = 90.0
SPATEM = [sys.executable, "-c", "import sys; from spatem_opt.cli import main; sys.exit(main())"]
CHIP = ["--arch", "ou-isaac-4x4", "--set", "adc_bits=5"]
ENTRY = '[[entries]]\nnetworks = ["{}"]\narchitecture = "ou-isaac-2x2"\nset = {{ adc_bits = {} }}\n'


def suite(folder: Path, name: str, *adc_bits: int) -> str:
    """A suite of one tiny network, so that processes take longer to begin than to compare, on chips that differ."""
    network, path = folder / "tiny.json", folder / f"{name}.toml"
    network.write_bytes(orjson.dumps(to_json(tiny_instance(0)[0]), option=orjson.OPT_SERIALIZE_NUMPY))
    path.write_text(f'name = "{name}"\n' + "".join(ENTRY.format(network, bits) for bits in adc_bits))
    return str(path)


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command line as a process, and group of processes, of its own."""
    process = subprocess.Popen(
        [*SPATEM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until(true: Callable[[], object], what: str) -> None:
    """Wait until something is true."""
    end = time.monotonic() + GUARD
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.02)


def children(pid: int) -> set[int]:
    """Processes that a process has started, and theirs."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        own = {int(child) for task in tasks for child in (task / "children").read_text().split()}
    except OSError:
        return set()
    return own.union(*map(children, own))


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie that nobody has waited for does not."""
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.add(pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_and_writes_the_best_solution(tmp_path: Path, number: int) -> None:
    out = tmp_path / "out.json"
    with running("solve", "lenet5", *CHIP, "--time-limit", "600", "-o", str(out), "--log", f"{out}.log") as solving:
        until(out.exists, "a first solution in the file while the run goes on")
        assert solving.poll() is None
        assert evaluate(read_solution(out)).valid
        solving.send_signal(number)
        _, errors = solving.communicate(timeout=GUARD)
    assert solving.returncode == 0, errors
    assert "Traceback" not in errors
    assert "exact mapping not begun: interrupted" in errors
    solution = read_solution(out)
    assert evaluate(solution).valid
    assert "exact mapping not begun: interrupted" in solution.claims["search"]["cut_short"]
    assert "best so far" in Path(f"{out}.log").read_text()


def test_helpers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with running("solve", "lenet5", *CHIP, "--time-limit", "600", "--workers", "2", "-o", str(out)) as solving:
        until(out.exists, "a first solution")
        helpers = children(solving.pid)
        assert len(helpers) >= 2
        solving.kill()
        solving.wait(GUARD)
        until(lambda: not alive(helpers), "the end of the helpers")
    assert evaluate(read_solution(out)).valid


def test_a_killed_bench_leaves_no_process_and_goes_on_from_its_lines(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    command = ["bench", suite(tmp_path, "both", 5, 6), "-o", str(out), "--time-limit", "0.1"]
    with running(*command) as benching:
        until(lambda: len(Store(out).read()) == 1, "a first line")
        until(lambda: children(benching.pid), "a process for the second entry")
        helpers = children(benching.pid)
        benching.kill()
        benching.wait(GUARD)
        until(lambda: not alive(helpers), "the end of the helpers")
    first = out.read_bytes()
    out.write_bytes(first + first[:100])  # as if the kill had come in the midst of a write
    with running(*command, "--json") as benching:
        printed, errors = benching.communicate(timeout=GUARD)
    assert benching.returncode == 0, errors
    assert "the last line was not finished" in errors
    assert errors.count("tiny.json: ") == 1  # the other one was there
    assert len(orjson.loads(printed)["comparisons"]) == 2
    assert out.read_bytes().startswith(first)
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert [line["entry"]["set"]["adc_bits"] for line in lines] == [5, 6]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_bench_ends_at_a_signal_without_tracebacks(tmp_path: Path, number: int, code: int) -> None:
    """The signal goes to the whole group, as a terminal's does, while processes of the suite still import."""
    tiny = suite(tmp_path, "tiny", 5, 6)
    with running("bench", tiny, "-o", str(tmp_path / "out.jsonl"), "--workers", "2") as benching:
        until(lambda: len(children(benching.pid)) >= 2, "processes")
        helpers = children(benching.pid)
        os.killpg(benching.pid, number)
        _, errors = benching.communicate(timeout=GUARD)
        until(lambda: not alive(helpers), "the end of the helpers")
    assert benching.returncode == code
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == ("interrupted" if number == signal.SIGINT else "terminated")


def test_two_suites_in_one_file_at_once_lose_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    one, other = suite(tmp_path, "one", 5, 6), suite(tmp_path, "other", 6, 5)
    with (
        running("bench", one, "-o", str(out), "--time-limit", "0.1") as first,
        running("bench", other, "-o", str(out), "--time-limit", "0.2") as second,
    ):
        assert first.wait(GUARD * 2) == second.wait(GUARD * 2) == 0
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert sorted((line["entry"]["set"]["adc_bits"], line["options"]["time_limit"]) for line in lines) == [
        (5, 0.1), (5, 0.2), (6, 0.1), (6, 0.2)
    ]  # fmt: skip
    assert len({line["key"] for line in lines}) == 4


def test_a_killed_front_goes_on_from_its_points(tmp_path: Path) -> None:
    folder = tmp_path / "front"
    arguments = ["pareto", "lenet5", *CHIP, "-o", str(folder)]

    def tried() -> list[str]:
        told = folder / "front.json"
        return list(orjson.loads(told.read_bytes())["tried"]) if told.exists() else []

    with running(*arguments) as sweeping:
        until(lambda: len(tried()) >= 2, "two candidates")
        sweeping.kill()
        sweeping.wait(GUARD)
    before = tried()
    log = tmp_path / "log"
    with running(*arguments, "--json", "--log", str(log)) as sweeping:
        printed, errors = sweeping.communicate(timeout=GUARD)
    assert sweeping.returncode == 0, errors
    assert set(before) < set(tried())
    assert not any(f": {name}, " in log.read_text() for name in before)
    points = orjson.loads(printed)["points"]
    files = sorted(path.name for path in folder.glob("*.json.gz"))
    assert files == [f"{number:02}.json.gz" for number in range(len(points))]
    for name, point in zip(files, points, strict=True):
        found = evaluate(read_solution(folder / name))
        assert found.valid
        assert found.latency_cycles == point["latency_cycles"]
