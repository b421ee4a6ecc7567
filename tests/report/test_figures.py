"""Figures: what is drawn, and that files are written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.evaluator import Evaluation
from spatem_opt.evaluator.activity import activity, overlap
from spatem_opt.model.architecture import Architecture
from spatem_opt.model.solution import Solution
from spatem_opt.report import figures
from spatem_opt.study.pareto import Front, Point

pytest.importorskip("matplotlib")
Solved = tuple[Solution, Evaluation]


def test_busy_time_is_that_of_all_windows(tiny_solution: Solution) -> None:
    """Each of two copies of layer 0 runs 2 windows of 129 cycles, the copy of layer 1 one of 49 (see the fixture)."""
    found = activity(tiny_solution, slices=64)
    width = found.edges[1] - found.edges[0]
    assert found.busy.sum(1) * width == pytest.approx([2 * 129, 49])


def test_occupancy_is_that_of_the_evaluator(solved: Solved) -> None:
    solution, evaluation = solved
    found = activity(solution)
    assert evaluation.utilization is not None
    assert evaluation.latency_cycles == found.edges[-1]
    assert found.occupancy.mean() == pytest.approx(evaluation.utilization.ou_occupancy, rel=1e-6)


def test_overlap_against_counting_cycles() -> None:
    rng = np.random.default_rng(1)
    begin = rng.integers(0, 90, 40)
    end = begin + rng.integers(1, 30, 40)
    cycles = np.zeros(120)
    for first, last in zip(begin, end, strict=True):
        cycles[first:last] += 1
    assert overlap(np.arange(0.0, 121, 8), begin, end).tolist() == cycles.reshape(-1, 8).sum(1).tolist()


def test_gantt_has_a_row_and_a_name_per_layer(solved: Solved) -> None:
    top, bottom = figures.gantt(*solved).axes
    count = len(solved[0].mapping)
    (image,) = bottom.images
    assert image.get_array() is not None
    assert np.shape(image.get_array())[0] == count
    assert [label.get_text() for label in bottom.get_yticklabels()] == ["conv1", "conv2", "conv3", "fc1", "fc2", "fc3"]
    assert [text.get_text() for text in top.get_legend().get_texts()] == ["crossbars at work"]
    segments = {text.get_text() for text in bottom.texts} - {"segment"}
    assert segments <= {str(k) for k in np.unique(solved[0].segment)}
    assert segments


def test_layers_of_different_segments_have_different_colours(solved: Solved) -> None:
    solution = solved[0]
    colours = {figures.SEGMENT_COLOURS[k % 6] for k in solution.segment.tolist()}
    assert len(colours) == min(6, len(set(solution.segment.tolist())))


def test_floorplan_has_six_maps_of_the_mesh(solved: Solved) -> None:
    solution, evaluation = solved
    axes = [axes for axes in figures.floorplan(solution.architecture, evaluation).axes if axes.get_title(loc="left")]
    assert len(axes) == 6
    assert evaluation.arrays is not None
    chip = solution.architecture
    cells = evaluation.arrays.tile_cells / (chip.crossbars_per_tile * chip.crossbar_rows * chip.crossbar_cols)
    assert np.asarray(axes[1].images[0].get_array()).ravel() == pytest.approx(100 * cells)


def test_tiles_of_a_router_lie_side_by_side_and_missing_ones_are_nan() -> None:
    chip = Architecture(mesh_rows=1, mesh_cols=2, tiles_per_router=3)
    image = figures.tile_image(chip, np.arange(6.0))
    assert image[0].tolist() == [0, 1, 3, 4]
    assert image[1, [0, 2]].tolist() == [2, 5]
    assert np.isnan(image[1, [1, 3]]).all()


@pytest.mark.parametrize("kind", figures.FORMATS)
def test_files_are_written_and_the_same_each_time(solved: Solved, tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        figures.save(figures.gantt(*solved), tmp_path / f"{name}.{kind}")
    first, second = (tmp_path / f"{name}.{kind}" for name in ("a", "b"))
    assert first.stat().st_size > 5000
    assert first.read_bytes() == second.read_bytes()


def test_front_draws_points_and_bounds() -> None:
    points = tuple(Point(f"p{i}", 10 + i, 30 - i, None) for i in range(3))
    axes = figures.front(Front("net", "chip", points, points[:1], 5, 7)).axes[0]
    assert [len(np.asarray(line.get_xdata())) for line in axes.lines] == [1, 3, 2, 2]


def test_hint_without_matplotlib(solved: Solved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InstanceError, match=r"pip install 'spatem-opt\[plot\]'"):
        figures.draw(*solved)


def test_a_broken_solution_cannot_be_drawn(solved: Solved) -> None:
    with pytest.raises(InstanceError, match="not replayable"):
        figures.gantt(solved[0], Evaluation(()))
    with pytest.raises(InstanceError, match="not replayable"):
        figures.floorplan(solved[0].architecture, Evaluation(()))
