"""Comparison, suites and fronts as data."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import evaluate
from spatem_opt.exchange.solutions import read_solution
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.presets import load_architecture
from spatem_opt.network import load
from spatem_opt.planning.baselines import BASELINES
from spatem_opt.report.compare import GAP_HEADS, HEADS, markdown, to_csv
from spatem_opt.study import bench, pareto
from spatem_opt.study.compare import EXACT, OURS, Comparison, MethodRow, compare, summarize
from spatem_opt.study.front_folder import Folder
from spatem_opt.testing import tiny_instance


@pytest.fixture(scope="module")
def chip() -> Architecture:
    """16 tiles, one per router."""
    return load_architecture("ou-isaac-4x4", {"adc_bits": 5})


@pytest.fixture(scope="module")
def compared(chip: Architecture) -> Comparison:
    """LeNet-5 by all methods."""
    return compare(load("lenet5"), chip)


def row(method: str, latency: int, communication: int) -> MethodRow:
    """A row that matters for reductions only."""
    return MethodRow(method, method, latency, communication_bits=communication)


def test_a_row_per_method_with_bound_and_gap(compared: Comparison) -> None:
    assert [r.method for r in compared.rows] == [*BASELINES, *OURS]
    for r in compared.rows:
        assert r.solved
        assert r.bound is not None
        assert r.latency_cycles is not None
        assert r.bound <= r.latency_cycles
        assert r.gap == pytest.approx(1 - r.bound / r.latency_cycles)
        assert 0 < (r.ou_occupancy or 0) <= 1
        parts = (r.buffer_read_bits, r.feature_map_bit_hops, r.partial_sum_bit_hops)
        assert sum(part or 0 for part in parts) == r.communication_bits


def test_ours_is_never_worse_than_a_baseline_on_its_objective(compared: Comparison) -> None:
    values = {r.method: (r.latency_cycles or 0, r.communication_bits or 0) for r in compared.rows}
    assert all(values["heuristic"][0] <= values[name][0] for name in BASELINES)
    product = {name: latency * bits for name, (latency, bits) in values.items()}
    assert all(product["balanced"] <= product[name] for name in BASELINES)


def test_reductions_are_against_the_fastest_baseline() -> None:
    """Against woho (100 cycles, 40 bits), not against dense-pipeline with fewer bits."""
    rows = (row("dense-pipeline", 120, 10), row("woho", 100, 40), row("heuristic", 25, 50), row("balanced", 50, 10))
    found = Comparison("a", "chip", rows)
    assert found.best == rows[1]
    assert [(r.method, r.baseline, r.latency, r.communication) for r in found.reductions] == [
        ("heuristic", "woho", 0.75, -0.25),
        ("balanced", "woho", 0.5, 0.75),
    ]


def test_means_are_geometric_and_skip_networks_without_baseline() -> None:
    """Ratios 1/4 and 1 make 1/2; 4 and 1 make 2, that is -100 %."""
    first = Comparison("a", "chip", (row("woho", 100, 10), row("heuristic", 25, 40)))
    second = Comparison("b", "chip", (row("woho", 100, 10), row("heuristic", 100, 10)))
    lonely = Comparison("c", "chip", (MethodRow("woho", note="does not fit the chip"), row("heuristic", 1, 1)))
    (mean,) = summarize([first, second, lonely]).means
    assert (mean.method, mean.networks) == ("heuristic", 2)
    assert (mean.latency, mean.communication) == pytest.approx((0.5, -1.0))
    assert "Not in the means: c (no baseline fits)." in markdown(summarize([first, second, lonely]))


def test_exact_starts_from_the_fastest_and_comes_back_from_json(chip: Architecture) -> None:
    found = compare(load("lenet5"), chip, exact=True, time_limit=0.5)
    rows = {row.method: row for row in found.rows}
    assert [row.method for row in found.rows] == [*BASELINES, *OURS, EXACT]
    assert rows[EXACT].latency_cycles is not None
    assert rows["heuristic"].latency_cycles is not None
    assert rows[EXACT].latency_cycles <= rows["heuristic"].latency_cycles
    assert [step.step for step in found.steps] == ["mapping", "grouping", "replication", "scheduling"]
    assert Comparison.from_dict(orjson.loads(orjson.dumps(found.to_dict()))) == found


def test_a_shortage_comes_back_from_json(chip: Architecture) -> None:
    found = compare(load("resnet18"), chip)
    assert found.shortage is not None
    assert Comparison.from_dict(orjson.loads(orjson.dumps(found.to_dict()))) == found


def test_json_comes_back(compared: Comparison) -> None:
    assert Comparison.from_dict(orjson.loads(orjson.dumps(compared.to_dict()))) == compared
    with pytest.raises(InstanceError):
        Comparison.from_dict({"rows": []})


def test_baselines_that_do_not_fit_say_so(chip: Architecture) -> None:
    found = compare(load("lenet5"), load_architecture("ou-isaac-2x2", {"adc_bits": 5}))
    notes = [r.note for r in found.rows if r.method in BASELINES]
    assert len(notes) == len(BASELINES)
    assert all(" short; would do: --arch ou-isaac-4x4 or --set mesh_rows=" in note for note in notes)
    assert found.best is None
    assert found.reductions == ()
    missing = compare(load("resnet18"), chip)
    assert missing.shortage is not None
    assert missing.rows == ()
    assert Comparison.from_dict(missing.to_dict()) == missing
    text = to_csv(summarize([found, missing]))
    assert len(text.splitlines()) == 1 + len(found.rows) + 1


def test_markdown_tables_are_rectangular(compared: Comparison) -> None:
    parts = [part.splitlines() for part in markdown(summarize([compared])).split("\n\n") if part.startswith("|")]
    methods, reductions, gaps = parts
    assert {line.count("|") for line in methods} == {len(HEADS) + 1}
    assert len({line.count("|") for line in reductions}) == 1
    assert "29.24 %" in reductions[-1]
    assert {line.count("|") for line in gaps} == {len(GAP_HEADS) + 1}
    assert len(gaps) == 4


def test_front_is_undominated_and_valid(chip: Architecture, tmp_path: Path) -> None:
    network, prices = load("lenet5"), (0.0, 0.3, 10.0)
    found = pareto.front(network, chip, prices=prices, keeper=Folder(tmp_path, network, chip, prices))
    values = [(point.latency, point.communication) for point in found.points]
    assert values == sorted(values)
    assert all(b < a for (_, a), (_, b) in pairwise(values))
    for point in found.dominated:
        assert any(x <= point.latency and y <= point.communication for x, y in values)
    assert found.latency_bound is not None
    assert found.communication_bound is not None
    assert found.latency_bound <= values[0][0]
    assert found.communication_bound <= values[-1][1]
    stored = orjson.loads((tmp_path / "front.json").read_bytes())
    for entry, value in zip(stored["points"], values, strict=True):
        evaluation = evaluate(read_solution(tmp_path / entry["file"]))
        assert evaluation.valid
        assert evaluation.communication is not None
        assert (evaluation.latency_cycles, evaluation.communication.total) == value
    assert len((tmp_path / "front.csv").read_text().splitlines()) == len(values) + 1


def test_front_of_what_does_not_fit(chip: Architecture) -> None:
    found = pareto.front(load("resnet18"), chip)
    assert found.shortage is not None
    assert found.points == ()


def test_time_limit_still_gives_a_first_point(chip: Architecture) -> None:
    names = {point.name.removesuffix(", moved") for point in pareto.front(load("lenet5"), chip, time_limit=0).points}
    assert len(names) == 1


@pytest.mark.parametrize("name", bench.suites())
def test_shipped_suites_name_what_is_there(name: str) -> None:
    for entry in bench.load_suite(name).entries:
        load(entry.network)
        load_architecture(entry.architecture, dict(entry.settings) | {"adc_bits": 5})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'a'", "entries = None, missing"),
        ("name = 'a'\nentries = 3", "expected tables"),
        ("name = 'a'\nwhat = 3\nentries = []", "unknown key"),
        ("name = 'a'\n[[entries]]\nnetworks = 'lenet5'\narchitecture = 'isaac'", "expected a list of texts"),
        ("name = 'a'\n[[entries]]\nnetworks = ['lenet5']\narchitecture = 3", "expected a text"),
        ("name = 'a'\n[[entries]]\nnetworks = ['lenet5']", "missing"),
        ("name = ", "not TOML"),
    ],
)
def test_bad_suites_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "suite.toml").write_text(text)
    with pytest.raises(InstanceError, match=message):
        bench.load_suite(tmp_path / "suite.toml")


def test_the_price_of_decoupling_where_one_model_can_say() -> None:
    network, chip = tiny_instance(9)
    found = compare(network, chip, exact=True, time_limit=3, workers=2)
    assert found.decoupling is not None
    assert found.decoupling.joint is not None
    assert found.decoupling.bound is not None
    assert found.decoupling.bound <= found.decoupling.joint <= found.decoupling.latency == found.rows[-1].latency_cycles
    assert Comparison.from_dict(found.to_dict()) == found
