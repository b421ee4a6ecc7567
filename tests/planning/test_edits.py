"""Edits of segmentations: what they change, when they do not apply, and that plans with them are valid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatem_opt import load_architecture, load_network
from spatem_opt.planning.candidates import Candidates
from spatem_opt.planning.edits import Edit
from spatem_opt.planning.settings import Setting
from spatem_opt.search.realisation import realise


def candidates(network: str = "lenet5") -> Candidates:
    return Candidates(load_network(network), load_architecture("ou-isaac", {"adc_bits": 5}), "latency")


def test_a_setting_with_edits_makes_the_same_plan_again_and_without_them_the_old_one() -> None:
    made, rng, base = candidates(), np.random.default_rng(1), Setting(0.003)
    plain = made.segmented(base)
    settings = [made.edit(base, rng, None) for _ in range(20)]
    plans = {setting: made.segmented(setting) for setting in settings if setting is not None}
    assert plain is not None
    assert any(plan is not None and plan.digest() != plain.digest() for plan in plans.values())
    again = candidates()
    for setting, plan in plans.items():
        other = again.segmented(setting)
        assert (other is None) == (plan is None)
        assert other is None or plan is None or other.digest() == plan.digest()
    unedited = made.segmented(replace(next(iter(plans)), edits=()))
    assert unedited is not None
    assert unedited.digest() == plain.digest()


@pytest.mark.parametrize("chains", [False, True])
@pytest.mark.parametrize("network", ["lenet5", "cifar10"])
def test_plans_of_edited_settings_are_valid_or_there_is_none(network: str, chains: bool) -> None:
    """`realise` raises ModelError where the evaluator finds a constraint broken."""
    made, rng = candidates(network), np.random.default_rng(0)
    setting, plans = Setting(0.003, 0.15, chains=chains), 0
    for _ in range(12):
        edited = made.edit(setting, rng, None)
        plan = None if edited is None else made.segmented(edited)
        if edited is not None and plan is not None:
            plans, setting = plans + 1, edited
            assert realise(plan, made.network, made.architecture, full=False) is not None
    assert plans > 2


def test_what_does_not_apply_makes_no_plan() -> None:
    made = candidates()
    last = len(made.nodes) - 1
    for edit in (Edit("mode", 0, 10**6), Edit("cut", 0, -1), Edit("cut", last, 1)):
        assert made.segmented(Setting(0.003, edits=(edit,))) is None


def test_a_layer_that_moves_is_in_the_segment_beside() -> None:
    made, base = candidates("cifar10"), Setting(0.003)
    cuts = next(made.segmentations(base))
    border = int(np.flatnonzero(np.diff(cuts.segment))[0])
    moved = made.editor(base).edited(cuts, [Edit("cut", border, 1)])
    assert moved is not None
    assert moved.segment[border] == moved.segment[border + 1]
    assert (np.diff(moved.segment) >= 0).all()
    assert len(moved.cells) == len(moved.cycles) == len(moved.trail) == moved.segment.max() + 1
