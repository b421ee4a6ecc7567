"""Tuned constants: ranges, files, their hash in the claims, and that answers follow them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from spatem_opt import InstanceError, load_architecture, load_network, solve
from spatem_opt.front_end import OBJECTIVES
from spatem_opt.planning.candidates import candidates_of
from spatem_opt.planning.protocol import Task
from spatem_opt.testing import tiny_instance
from spatem_opt.tuning import Tuning, load_tuning

NETWORK, CHIP = load_network("lenet5"), load_architecture("ou-isaac-4x4", {"adc_bits": 5})
ALL = [(group.name, own) for group in fields(Tuning) for own in fields(getattr(Tuning(), group.name))]


@pytest.mark.parametrize(("group", "own"), ALL, ids=lambda item: getattr(item, "name", item))
def test_every_constant_has_range_and_evidence_and_is_within(group: str, own: object) -> None:
    metadata, usual = own.metadata, own.default  # type: ignore[attr-defined]
    numbers = usual if isinstance(usual, tuple) else (usual,)
    assert all(metadata["low"] <= number <= metadata["high"] for number in numbers)
    assert metadata["what"]
    assert metadata["evidence"]
    changed = Tuning().changed(f"{group}.{own.name}", usual)  # type: ignore[attr-defined]
    assert changed == Tuning()
    with pytest.raises(InstanceError, match="expected"):
        Tuning().changed(f"{group}.{own.name}", metadata["high"] + 1)  # type: ignore[attr-defined]


def test_every_objective_has_prices() -> None:
    assert all(Tuning().prices(objective) for objective in OBJECTIVES)


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[modes]\ndoor = 0.5\n[plans]\nfills = [1.0, 0.9]\n")
    assert load_tuning(path) == Tuning().changed("modes.door", 0.5).changed("plans.fills", [1.0, 0.9])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("door = 0.5", "expected a table"),
        ("[modes]\ndore = 0.5", "expected one such as modes.door"),
        ("[mode]\ndoor = 0.5", "expected one such as"),
        ("[modes]\ndoor = 3", r"expected 0.1 \.\.\. 1.0"),
        ("[modes]\ndoor = 'wide'", "expected"),
        ("[modes]\nbeside = [1.0]", "expected 2 numbers"),
        ("[plans]\nfills = []", "expected numbers"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(InstanceError, match=said) as caught:
        solve(*tiny_instance(0), tuning=path)
    assert str(caught.value).startswith(str(path))


def test_constants_reach_estimates_and_settings() -> None:
    def first(tuning: Tuning) -> tuple[object, float | None]:
        made = candidates_of(Task(NETWORK, CHIP, "balanced", tuning=tuning))
        plan = made.segmented(made.settings()[0])
        return made.settings()[0].price, None if plan is None else plan.estimate

    usual = first(Tuning())
    assert first(Tuning().changed("plans.balanced_prices", [7.0]))[0] == 7.0
    assert first(Tuning().changed("modes.door", 0.1))[1] != usual[1]


def test_the_claims_say_by_which_constants() -> None:
    own = Tuning().changed("plans.hopeless", 1.3)
    network, chip = tiny_instance(0)
    for tuning in (Tuning(), own):
        solution = solve(network, chip, method="dense-pipeline", tuning=tuning).solution
        assert solution is not None
        assert solution.claims["search"]["tuning"] == tuning.digest
