"""Generated tests: no deadlines, the same examples in every run; and no test process loads HiGHS."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from hypothesis import settings


def test_one_profile_for_all() -> None:
    assert settings().deadline is None
    assert settings.get_profile("search").deadline is None


def test_no_test_sets_a_deadline() -> None:
    files = [path for path in Path(__file__).parent.rglob("*.py") if path.name != Path(__file__).name]
    assert len(files) > 50
    assert [path.name for path in files if re.search(r"deadline\s*=\s*(?!None)", path.read_text())] == []


def test_highs_is_never_loaded_beside_ortools() -> None:
    """Importing PuLP in a test would load it, and some releases end the process."""
    import pulp

    assert not pulp.HiGHS(msg=False).available()
    assert sys.modules["highspy"] is None
