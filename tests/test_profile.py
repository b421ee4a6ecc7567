"""Generated tests: no deadlines, the same examples in every run; and no test process loads HiGHS."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.internal.conjecture import engine


def test_one_profile_for_all() -> None:
    assert settings().deadline is None
    assert settings.get_profile("search").deadline is None


def test_a_failure_is_reported_soon_and_a_hang_ends(pytestconfig: pytest.Config) -> None:
    """A minute to make an example smaller, well within what a test may take before its process is ended."""
    assert Phase.explain not in settings().phases
    assert not settings().report_multiple_bugs
    assert pytestconfig.getini("faulthandler_exit_on_timeout")
    assert float(pytestconfig.getini("faulthandler_timeout")) / 2 > engine.MAX_SHRINKING_SECONDS


def test_no_test_sets_a_deadline() -> None:
    files = [path for path in Path(__file__).parent.rglob("*.py") if path.name != Path(__file__).name]
    assert len(files) > 50
    assert [path.name for path in files if re.search(r"deadline\s*=\s*(?!None)", path.read_text())] == []


def test_highs_is_never_loaded_beside_ortools() -> None:
    """Importing PuLP in a test would load it, and some releases end the process."""
    import pulp

    assert not pulp.HiGHS(msg=False).available()
    assert sys.modules["highspy"] is None
