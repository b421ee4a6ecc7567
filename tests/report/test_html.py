"""The HTML report stands alone and says what the evaluator says."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spatem_opt.evaluator import Evaluation, evaluate
from spatem_opt.model.solution import Solution
from spatem_opt.report.html import render, write_report

pytest.importorskip("matplotlib")
VOID = {"meta", "br"}


class Checker(HTMLParser):
    """Collects ids and tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value for key, value in attrs if key == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.fixture(scope="module")
def page(solved: tuple[Solution, Evaluation]) -> str:
    return render(*solved)


def test_page_is_well_formed_and_figures_share_no_ids(page: str) -> None:
    checker = Checker()
    checker.feed(page)
    assert not checker.wrong
    assert not checker.open
    assert {name.partition("-")[0] for name in checker.ids} == {"gantt", "floorplan"}


def test_every_reference_in_the_figures_is_there(page: str) -> None:
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page))
    assert {a or b for a, b in used} <= ids


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert "<script" not in page


def test_numbers_are_those_of_the_evaluator(page: str, solved: tuple[Solution, Evaluation]) -> None:
    solution, found = solved
    assert found.layers is not None
    assert f"{found.latency_cycles:,} cycles" in page
    assert f"{solution.claims['total']['bound']:,}" in page
    assert "No constraint is violated" in page
    for name in found.layers.name:
        assert f"<td>{name}</td>" in page
    assert page.count("<svg") == 2


def test_written_as_a_whole(solved: tuple[Solution, Evaluation], tmp_path: Path, page: str) -> None:
    write_report(solved[0], tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == page


def test_violations_are_listed_and_texts_escaped(tiny_solution: Solution) -> None:
    broken = replace(
        tiny_solution,
        network=replace(tiny_solution.network, name="<b>&", source="<i>"),
        claims={"total": {"latency": 1, "objective": "latency"}},
    )
    page = render(broken, evaluate(broken))
    assert "1 violations" in page
    assert "claims" in page
    assert "&lt;b&gt;&amp;" in page
    assert "<i>" not in page
