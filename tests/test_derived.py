"""Numbers of chips that follow from others: formulas of chip files, overrides, base chains, shipped values."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.model.architecture import FIELDS, Architecture, ArchitectureWarning
from spatem_opt.model.presets import architectures, load_architecture, load_preset

WIDE = {"ou_rows": "16", "ou_cols": "16", "adc_bits": "6"}


def quiet(name: str | Path, overrides: dict[str, object] | None = None) -> Architecture:
    """`load_architecture` without its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArchitectureWarning)
        return load_architecture(name, overrides)


def fields(chip: Architecture) -> dict[str, object]:
    """Everything but the name."""
    return {key: value for key, value in chip.to_dict().items() if key != "name"}


def write(path: Path, name: str, text: str) -> Path:
    file = path / f"{name}.toml"
    file.write_text(f'name = "{name}"\n{text}\n')
    return file


# --- overrides, API and files are alike ---


def test_set_equals_the_shipped_preset_field_by_field() -> None:
    assert fields(quiet("ou-isaac", dict(WIDE))) == fields(quiet("ou-16x16"))


def test_numbers_and_texts_are_alike() -> None:
    assert fields(quiet("ou-isaac", {"ou_rows": 16, "ou_cols": 16, "adc_bits": 6})) == fields(quiet("ou-16x16"))


def test_a_file_with_a_base_is_alike(tmp_path: Path) -> None:
    lines = "\n".join(f"{key} = {value}" for key, value in WIDE.items())
    assert fields(quiet(write(tmp_path, "x", f'base = "ou-isaac"\n{lines}'))) == fields(quiet("ou-16x16"))


def test_a_chain_of_bases_is_alike(tmp_path: Path) -> None:
    write(tmp_path, "a", 'base = "ou-isaac"\nou_rows = 16')
    write(tmp_path, "b", 'base = "a.toml"\nou_cols = 16')
    assert fields(quiet(write(tmp_path, "c", 'base = "b.toml"\nadc_bits = 6'))) == fields(quiet("ou-16x16"))


def test_a_given_value_wins_and_others_follow_it() -> None:
    chip = quiet("ou-isaac", {**WIDE, "cycle_ns": "7.68"})
    # rates follow the cycle that was given, energies the OU and the ADC
    assert (chip.cycle_ns, chip.buffer_bits_per_cycle, chip.router_bits_per_cycle) == (7.68, 1248, 288)
    assert (chip.digital_ops_per_cycle, chip.ou_fj, chip.adc_fj) == (78, 552, 522)


def test_a_value_of_a_file_wins_over_the_formula_of_its_base(tmp_path: Path) -> None:
    file = write(tmp_path, "x", 'base = "ou-16x16"\nadc_fj = { value = 3, unit = "fJ", source = "me" }')
    assert quiet(file).adc_fj == 3
    assert quiet(file, {"adc_bits": 7}).adc_fj == 3
    assert quiet(file, {"adc_bits": 7}).cycle_ns == pytest.approx(7.68 * 7 / 3)


def test_a_formula_of_a_file_wins_over_the_value_of_its_base(tmp_path: Path) -> None:
    line = 'hop_cycles = { derive = "mesh_rows - 12", unit = "cycles", source = "me" }'
    file = write(tmp_path, "x", f'base = "ou-isaac"\n{line}')
    assert quiet(file).hop_cycles == 2
    assert quiet(file, {"mesh_rows": 13}).hop_cycles == 1


def test_built_directly_an_architecture_holds_plain_values() -> None:
    assert Architecture(ou_rows=16, ou_cols=16, adc_bits=6).cycle_ns == 7.68


# --- values by hand ---


def test_published_integers_of_the_default() -> None:
    """As PP_sim and ISAAC give them; see the sources in ou-isaac.toml."""
    chip = quiet("ou-isaac")
    assert (chip.cycle_ns, chip.adcs_per_crossbar) == (7.68, 8)
    assert (chip.buffer_bits_per_cycle, chip.router_bits_per_cycle, chip.digital_ops_per_cycle) == (1248, 288, 78)
    assert (chip.ou_fj, chip.adc_fj, chip.static_fj, chip.partial_sum_bits) == (182, 195, 0, 16)


def test_published_integers_of_isaac() -> None:
    chip = quiet("isaac")
    assert (chip.cycle_ns, chip.adcs_per_crossbar, chip.ou_fj, chip.adc_fj) == (100.0, 1, 30051, 1582)
    assert (chip.buffer_bits_per_cycle, chip.router_bits_per_cycle, chip.digital_ops_per_cycle) == (16384, 3840, 1024)


def test_other_chips_keep_their_numbers() -> None:
    pimcomp, vw_sdk = quiet("pimcomp"), quiet("vw-sdk-512")
    assert (pimcomp.cycle_ns, pimcomp.buffer_bits_per_cycle, pimcomp.router_bits_per_cycle) == (100.0, 6400, 3200)
    assert (pimcomp.digital_ops_per_cycle, pimcomp.ou_fj, pimcomp.adc_fj) == (800, 30051, 1582)
    assert (vw_sdk.cycle_ns, vw_sdk.ou_fj, vw_sdk.adc_fj) == (100.0, 471804, 1582)


# 2.56 ns per bit and round of conversions: 15.6 ns x 32 / 65 / 3
@pytest.mark.parametrize(
    ("name", "overrides", "cycle"),
    [
        ("ou-isaac", {}, 7.68),
        ("ou-isaac", {"adc_bits": 3}, 7.68),
        ("ou-isaac", {"adc_bits": 5}, 12.8),
        ("ou-isaac", {"ou_cols": 16, "adc_bits": 6}, 15.36),  # 16 ADCs
        ("ou-isaac", {"ou_cols": 16, "adc_bits": 6, "adcs_per_crossbar": 8}, 30.72),  # two rounds
        ("ou-isaac", {"adcs_per_crossbar": 3}, 23.04),  # 8 bitlines in three rounds
        ("ou-isaac-4bit", {}, 10.24),
        ("ou-isaac-4bit", {"adc_bits": 3}, 7.68),
        ("ou-isaac-4bit", {"adc_bits": 2}, 7.68),  # the array
        ("ou-isaac-4bit", WIDE, 15.36),
        ("isaac", {"adcs_per_crossbar": 4}, 100.0),  # the array
        ("isaac", {"adc_bits": 9}, 112.5),  # 128 samples of 9/8 x 100/128 ns
    ],
)
def test_cycle_is_the_longer_of_array_and_conversions(name: str, overrides: dict[str, object], cycle: float) -> None:
    assert quiet(name, overrides).cycle_ns == pytest.approx(cycle, rel=1e-12)


def test_consistent_chip_by_hand() -> None:
    """20.48 x 10.24 = 209.7 bytes are 104 data of 16 bits; 1.2 x 10.24 = 12.3 flits of 32 bits."""
    chip = quiet("ou-isaac-4bit")
    assert (chip.buffer_bits_per_cycle, chip.router_bits_per_cycle, chip.digital_ops_per_cycle) == (1664, 384, 104)
    assert (chip.ou_fj, chip.adc_fj, chip.partial_sum_bits) == (182, 195, None)


def test_leakage_of_the_consistent_chip_by_hand() -> None:
    """A crossbar: 128 DACs of 0.390625 uW, 128 S/H of 0.00097 uW, 8 ADCs of 200 x 3.2 / 28.4444 = 22.5 uW: 230.124 uW;
    a tile: 96 of these + 12 PEs of 394 uW + 510 + 500 + 547 + 1040 / 4 uW = 28 636.9 uW; x 10.24 ns = 293 242 fJ."""
    assert quiet("ou-isaac-4bit").static_fj == 293242
    # twice the ADCs: 96 x 8 x 22.5 uW = 17 280 uW more; ADCs of 16 bitlines: the cycle stays
    assert quiet("ou-isaac-4bit", {"adcs_per_crossbar": 16}).static_fj == 293242 + round(17280 * 10.24)


# --- area ---


def test_area_of_isaac_is_the_published_one() -> None:
    """ISAAC, Table I: tiles and routers 62.5 mm2; its tile with a quarter of a router 0.372 mm2, an IMA 0.157 / 12."""
    chip = quiet("isaac")
    areas = chip.areas()
    assert sum(areas.values()) == pytest.approx(62.5, abs=0.05)
    assert sum(areas.values()) / chip.tiles == pytest.approx(0.372, abs=0.0005)
    assert (areas["crossbars"] + areas["adcs"] + areas["pes"]) / chip.tiles == pytest.approx(0.157, abs=0.0005)
    assert (areas["buffers"] + areas["buses"] + areas["digital"] + areas["routers"]) / chip.tiles == pytest.approx(
        0.215, abs=0.0005
    )


# the resolutions of hwcomponents-library, isaac.py, from ISAAC's 1200 um2 by Saberi's analysis
@pytest.mark.parametrize(
    ("bits", "um2"), [(4, 361.04), (5, 476.91), (6, 626.91), (7, 845.18), (8, 1200.0), (9, 1827.9)]
)
def test_area_of_an_adc(bits: int, um2: float) -> None:
    assert quiet("ou-isaac", {"adc_bits": bits}).adc_mm2 * 1e6 == pytest.approx(um2, rel=2e-4)


def test_more_adcs_take_more_area() -> None:
    less, more = quiet("ou-isaac"), quiet("ou-isaac", {"adcs_per_crossbar": 16})
    assert more.areas()["adcs"] == 2 * less.areas()["adcs"] == pytest.approx(2 * 69888 * 8 * 361.04e-6, rel=1e-4)
    assert {k: v for k, v in more.areas().items() if k != "adcs"} == {
        k: v for k, v in less.areas().items() if k != "adcs"
    }


# --- partial sums ---


@pytest.mark.parametrize(
    ("changes", "rows", "bits"),
    [
        ({}, 1, 16 + 16),
        ({}, 2, 16 + 16 + 1),
        ({}, 576, 16 + 16 + 10),  # 3 x 3 x 64
        ({}, 512, 16 + 16 + 9),
        ({"dac_bits": 3}, 512, 18 + 16 + 9),  # 6 phases of 3 bits
        ({"cell_bits": 5}, 512, 16 + 20 + 9),  # 4 slices of 5 bits
        ({"differential": True}, 512, 16 + 16 + 9 + 1),
        ({"partial_sum_bits": 24}, 512, 24),
    ],
)
def test_width_of_partial_sums_by_hand(changes: dict[str, object], rows: int, bits: int) -> None:
    fields = {"partial_sum_bits": None, **changes}
    assert Architecture(**fields).sum_bits(rows) == bits  # type: ignore[arg-type]


def test_width_of_partial_sums_of_a_layer_with_bits_of_its_own() -> None:
    assert Architecture(partial_sum_bits=None).sum_bits(9, weight_bits=3, activation_bits=5) == 5 + 4 + 4


@pytest.mark.parametrize("text", ["auto", "AUTO"])
def test_partial_sums_by_layer_as_an_override(text: str) -> None:
    chip = quiet("ou-isaac", {"partial_sum_bits": text})
    assert (chip.partial_sum_bits, chip.name) == (None, "ou-isaac [partial_sum_bits=auto]")


def test_width_that_holds_every_sum() -> None:
    """The largest sum of 9 products of 3-bit cells' weights (2 slices of 2 bits: at most 15) and 5-bit inputs."""
    bits = Architecture(partial_sum_bits=None).sum_bits(9, weight_bits=3, activation_bits=5)
    assert 2**bits > 9 * 15 * 31


# --- what is wrong with a file ---


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('hop_cycles = { derive = "mesh", unit = "cycles", source = "me" }', "mesh: unknown field"),
        ('hop_cycles = { derive = "input_load", unit = "cycles", source = "me" }', "input_load: no number"),
        ('hop_cycles = { derive = "1 / 0", unit = "cycles", source = "me" }', "expected no division by zero"),
        ('hop_cycles = { derive = "1 / 2", unit = "cycles", source = "me" }', "hop_cycles = 0.5, expected an integer"),
        ('hop_cycles = { derive = "-1", unit = "cycles", source = "me" }', "hop_cycles = -1, expected >= 0"),
        ('hop_cycles = { derive = "2 ** 50", unit = "cycles", source = "me" }', "expected <= 1099511627776 (derived"),
        ('hop_cycles = { derive = "import os", unit = "cycles", source = "me" }', "expected a formula of numbers"),
        ('hop_cycles = { derive = 3, unit = "cycles", source = "me" }', "hop_cycles.derive = 3, expected a formula"),
        ('hop_cycles = { derive = "1", value = 1, unit = "cycles", source = "me" }', "either value or derive"),
        ('hop_cycles = { derive = "1", unit = "cycles" }', "hop_cycles.source = None"),
        ('hop_cycles = { derive = "1", unit = "ns", source = "me" }', "hop_cycles.unit = 'ns', expected 'cycles'"),
        ('input_load = { derive = "1", unit = "-", source = "me" }', "of a field that is a number"),
        ('hop_cycles = { derive = "hop_cycles", unit = "cycles", source = "me" }', "hop_cycles -> hop_cycles"),
        (
            'cycle_ns = { derive = "router_bits_per_cycle", unit = "ns", source = "me" }',
            "expected no cycle: cycle_ns -> router_bits_per_cycle -> cycle_ns",
        ),
    ],
)
def test_bad_formulas_are_one_line(tmp_path: Path, line: str, message: str) -> None:
    file = write(tmp_path, "x", f'base = "ou-isaac"\n{line}')
    with pytest.raises(InstanceError) as error:
        quiet(file)
    assert str(error.value).startswith(f"{file}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_formula_needs_a_number(tmp_path: Path) -> None:
    line = 'hop_cycles = { derive = "partial_sum_bits", unit = "cycles", source = "me" }'
    with pytest.raises(InstanceError, match="partial_sum_bits: no number"):
        quiet(write(tmp_path, "x", f'base = "ou-isaac-4bit"\n{line}'))


def test_an_override_that_breaks_a_formula_is_one_line() -> None:
    with pytest.raises(InstanceError, match="adc_fj"):
        quiet("ou-isaac", {"adc_bits": 200})


# --- files ---


def test_a_number_without_unit_and_source_is_taken_with_a_caution(tmp_path: Path) -> None:
    file = write(tmp_path, "x", 'base = "ou-isaac"\nou_rows = 16\nadc_bits = 6')
    with pytest.warns(ArchitectureWarning, match="x: ou_rows, adc_bits: given without unit and source"):
        assert load_architecture(file).ou_rows == 16


@pytest.mark.parametrize("name", architectures())
def test_template_is_the_chip(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(load_preset(name).to_toml())
    preset, original = load_preset(file), load_preset(name)
    assert (preset.name, preset.description, preset.references) == (
        f"my-{name}", original.description, original.references
    )  # fmt: skip
    assert preset.entries == original.entries
    assert fields(quiet(file, {"adc_bits": "7"})) == fields(quiet(name, {"adc_bits": "7"}))


@pytest.mark.parametrize("name", architectures())
def test_presets_give_or_derive_every_field(name: str) -> None:
    for key, entry in load_preset(name).entries.items():
        assert entry.source
        assert entry.unit == FIELDS[key].unit
        assert entry.value is not None or FIELDS[key].auto
