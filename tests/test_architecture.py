"""Architecture, presets, overrides: every rule of every field, one reason to fail per test."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from spatem_opt.architecture import FIELDS, Architecture, ArchitectureWarning, from_dict
from spatem_opt.errors import InstanceError
from spatem_opt.presets import architectures, load_architecture, load_preset, parse_overrides

INTEGERS = [key for key, rule in FIELDS.items() if rule.kind == "int"]


def quiet(name: str | Path = "ou-isaac", overrides: dict[str, object] | None = None) -> Architecture:
    """`load_architecture` without its warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ArchitectureWarning)
        return load_architecture(name, overrides)


def test_defaults_are_the_default_preset() -> None:
    assert quiet() == Architecture()


def test_derived_numbers_of_the_default() -> None:
    chip = Architecture()
    assert (chip.tiles, chip.crossbars_per_tile, chip.crossbars) == (14 * 13 * 4, 96, 69888)
    assert chip.ou_slots == (128 // 9) * (128 // 8) == 224
    assert (chip.cells_per_weight(), chip.cells_per_weight(5)) == (8, 3)
    assert Architecture(differential=True).cells_per_weight() == 16
    assert (chip.input_phases(), Architecture(dac_bits=3).input_phases(8)) == (16, 3)


@pytest.mark.parametrize("key", INTEGERS)
@pytest.mark.parametrize("value", [True, "4", 4.0, None, math.nan])
def test_integer_fields_take_only_integers(key: str, value: object) -> None:
    with pytest.raises(InstanceError, match=rf"architecture 'ou-isaac': {key} = .*, expected an integer"):
        Architecture(**{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("key", INTEGERS)
def test_integer_fields_have_a_smallest_value(key: str) -> None:
    low = FIELDS[key].low
    assert low in (0, 1)
    with pytest.raises(InstanceError, match=f"{key} = {low - 1}, expected >= {low}"):
        Architecture(**{key: low - 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("key", INTEGERS)
def test_integer_fields_have_a_largest_value(key: str) -> None:
    high = FIELDS[key].high
    with pytest.raises(InstanceError, match=f"{key} = {high + 1}, expected <= {high}"):
        Architecture(**{key: high + 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_cycle_is_finite_and_positive(value: float) -> None:
    with pytest.raises(InstanceError, match=r"cycle_ns = .*, expected a finite number > 0"):
        Architecture(cycle_ns=value)


@pytest.mark.parametrize("value", [True, "7.68", None])
def test_cycle_is_a_number(value: object) -> None:
    with pytest.raises(InstanceError, match=r"cycle_ns = .*, expected a number"):
        Architecture(cycle_ns=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("differential", 1, "expected true or false"),
        ("overlap_input", "yes", "expected true or false"),
        ("buffer_scope", "router", "expected chip or tile"),
        ("buffer_scope", [], "expected chip or tile"),
        ("input_load", None, "expected needed or full"),
        ("name", "", "expected a non-empty text"),
        ("name", 3, "expected a non-empty text"),
        ("name", "two\nlines", "expected a non-empty text of one line"),
    ],
)
def test_other_fields(key: str, value: object, rule: str) -> None:
    with pytest.raises(InstanceError, match=rule):
        Architecture(**{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ou_rows": 129}, "ou_rows = 129, expected <= crossbar_rows = 128"),
        ({"crossbar_cols": 4}, "ou_cols = 8, expected <= crossbar_cols = 4"),
        ({"buffer_bits": 15}, "activation_bits = 16, expected <= buffer_bits = 15"),
        ({"mesh_rows": 2**20, "mesh_cols": 2**20}, "crossbars of the chip = .*, expected <= 2147483648"),
    ],
)
def test_combinations(fields: dict[str, int], message: str) -> None:
    with pytest.raises(InstanceError, match=message):
        Architecture(**fields)  # type: ignore[arg-type]


def test_numpy_integers_become_plain() -> None:
    assert type(Architecture(ou_rows=np.int64(4)).ou_rows) is int  # type: ignore[arg-type]


# 9 wordlines, cells 0..3, inputs 0..1: sums up to 27 need 5 bits; 31 = 2^5 - 1 still fits, 32 does not
@pytest.mark.parametrize(
    ("rows", "cell", "dac", "needed"), [(9, 2, 1, 5), (31, 1, 1, 5), (32, 1, 1, 6), (128, 2, 1, 9)]
)
def test_adc_bits_needed(rows: int, cell: int, dac: int, needed: int) -> None:
    chip = Architecture(ou_rows=rows, cell_bits=cell, dac_bits=dac, adc_bits=needed)
    assert chip.adc_bits_needed == needed
    assert not chip.cautions()
    assert Architecture(ou_rows=rows, cell_bits=cell, dac_bits=dac, adc_bits=needed - 1).cautions()


def test_narrow_adc_warns_once_in_one_line() -> None:
    with pytest.warns(ArchitectureWarning) as caught:
        load_architecture("ou-isaac")
    (warning,) = caught
    assert "\n" not in str(warning.message)


def test_wide_adc_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_architecture("ou-isaac", {"adc_bits": 5})


@pytest.mark.parametrize(
    ("name", "tiles", "crossbars", "slots"),
    [
        ("isaac", 168, 168 * 96, 1),
        ("ou-16x16", 728, 69888, 64),
        ("pimcomp", 144, 144 * 64, 1),
        ("vw-sdk-512", 64, 256, 1),
        ("ou-isaac-2x2", 4, 4 * 96, 224),
        ("ou-isaac-4x4", 16, 16 * 96, 224),
        ("ou-isaac-7x7", 196, 196 * 96, 224),
        ("ou-isaac-24x24", 2304, 2304 * 96, 224),
    ],
)
def test_presets(name: str, tiles: int, crossbars: int, slots: int) -> None:
    chip = quiet(name)
    assert (chip.name, chip.tiles, chip.crossbars, chip.ou_slots) == (name, tiles, crossbars, slots)


@pytest.mark.parametrize("name", architectures())
def test_every_preset_loads_and_sources_every_number(name: str) -> None:
    preset = load_preset(name)
    assert preset.name == name
    assert preset.description
    assert set(preset.entries) == set(FIELDS) - {"name"}


@pytest.mark.parametrize("name", ["pimcomp", "vw-sdk-512"])
def test_one_cell_per_weight(name: str) -> None:
    assert quiet(name).cells_per_weight() == 1


def test_vw_sdk_has_one_phase() -> None:
    assert quiet("vw-sdk-512").input_phases() == 1


def test_vgg19_fits_the_large_chip() -> None:
    """143 652 544 weights of 16 bits (13 + 3 conv, 3 fc, without biases) in slots of 224 x 72 cells."""
    weights, chip = 143_652_544, quiet("ou-isaac-24x24")
    cells = weights * chip.cells_per_weight()
    assert cells > quiet().crossbars * 224 * 72
    assert 2 * cells < chip.crossbars * 224 * 72


def test_overrides_are_typed_by_field() -> None:
    chip = quiet(overrides={"ou_rows": "16", "cycle_ns": "5", "differential": "TRUE", "input_load": "full"})
    assert (chip.ou_rows, chip.cycle_ns, chip.differential, chip.input_load) == (16, 5.0, True, "full")
    assert chip.name == "ou-isaac [ou_rows=16, cycle_ns=5.0, differential=True, input_load=full]"


def test_overridden_name() -> None:
    assert quiet(overrides={"ou_rows": 8, "name": "mine"}).name == "mine"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"ou_rows": "nine"}, "override: ou_rows = 'nine', expected an integer"),
        ({"ou_rows": "9.0"}, "expected an integer"),
        ({"cycle_ns": "nan"}, "expected a finite number > 0"),
        ({"differential": "1"}, "expected true or false"),
        ({"ou_row": "9"}, "unknown field, did you mean ou_rows?"),
        ({"contention_cycles": "9"}, r"contention_cycles = '9', removed: routers are queues now \(M6\); delete"),
        ({"buffer_bits_per_cycle": 0}, "expected >= 1"),
        ({"ou_rows": "300"}, "expected <= crossbar_rows = 128"),
    ],
)
def test_bad_overrides(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(InstanceError, match=message.replace("?", r"\?")):
        quiet(overrides=overrides)


@pytest.mark.parametrize("text", ["ou_rows", "=4", "", "ou_row=4"])
def test_bad_settings(text: str) -> None:
    with pytest.raises(InstanceError, match="--set: "):
        parse_overrides([text])


def test_setting_given_twice() -> None:
    with pytest.raises(InstanceError, match="given twice"):
        parse_overrides(["ou_rows=4", "ou_rows=5"])


def write(path: Path, text: str) -> Path:
    file = path / "chip.toml"
    file.write_text(text)
    return file


def test_file_with_a_base(tmp_path: Path) -> None:
    file = write(
        tmp_path, 'name = "x"\nbase = "ou-isaac"\nou_rows = { value = 8, unit = "wordlines", source = "me" }\n'
    )
    assert quiet(file) == Architecture(name="x", ou_rows=8)


def test_base_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('name = "b"\nbase = "isaac"\n')
    assert quiet(write(tmp_path, 'name = "x"\nbase = "base.toml"\n')).cycle_ns == 100.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ou_rows = 8", "ou_rows = 8, expected { value"),
        ('ou_rows = { value = "8", unit = "wordlines", source = "me" }', "ou_rows = '8', expected an integer"),
        ('cycle_ns = { value = nan, unit = "ns", source = "me" }', "cycle_ns = nan, expected a finite"),
        ('ou_rows = { value = true, unit = "wordlines", source = "me" }', "ou_rows = True, expected an integer"),
        ('ou_rows = { value = 8, unit = "bits", source = "me" }', "ou_rows.unit = 'bits', expected 'wordlines'"),
        ('ou_rows = { value = 8, unit = "wordlines" }', "ou_rows.source = None"),
        ('ou_rows = { value = 8, unit = "wordlines", source = " " }', "ou_rows.source = ' '"),
        ('ou_rows = { unit = "wordlines", source = "me" }', "ou_rows.value = None, missing"),
        ('ou_rows = { value = 8, unit = "wordlines", source = "me", x = 1 }', "ou_rows.x = 1"),
        ('ou_row = { value = 8, unit = "wordlines", source = "me" }', "unknown field, did you mean ou_rows"),
        ('contention_cycles = { value = 8, unit = "cycles", source = "me" }',
         "contention_cycles = 8, removed: routers are queues now (M6); delete the line"),
        ("references = 3", "references = 3, expected a table of texts"),
        ("description = 3", "description = 3, expected a text"),
        ("ou_rows = ", "not TOML"),
    ],
)
def test_bad_files(tmp_path: Path, line: str, message: str) -> None:
    file = write(tmp_path, f'name = "x"\nbase = "ou-isaac"\n{line}\n')
    with pytest.raises(InstanceError) as error:
        quiet(file)
    assert str(error.value).startswith(f"{file}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_file_without_base_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="mesh_rows = None, missing, and there is no base"):
        quiet(write(tmp_path, 'name = "x"\n'))


def test_file_without_name(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="name = '', expected a text"):
        quiet(write(tmp_path, 'base = "ou-isaac"\n'))


def test_file_based_on_itself(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match="expected no cycle"):
        quiet(write(tmp_path, 'name = "x"\nbase = "chip.toml"\n'))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InstanceError, match=r"absent\.toml: cannot be read, No such file"):
        quiet(tmp_path / "absent.toml")


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "chip.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InstanceError, match="not TOML"):
        quiet(tmp_path / "chip.toml")


def test_unknown_name_lists_the_presets() -> None:
    with pytest.raises(InstanceError, match=r"architecture: name = 'ou-issac', .*ou-isaac, .*vw-sdk-512"):
        quiet("ou-issac")


@pytest.mark.parametrize("name", architectures())
def test_json_round_trip(name: str) -> None:
    assert from_dict(quiet(name).to_dict(), "x") == quiet(name)


@pytest.mark.parametrize(
    ("name", "field", "value"), [("links", "router_service", "links"), ("multicast", "multicast", True)]
)
def test_presets_of_other_routers_differ_from_the_default_in_nothing_else(name: str, field: str, value: object) -> None:
    found, default = quiet(f"ou-isaac-{name}").to_dict(), quiet("ou-isaac").to_dict()
    assert found == {**default, "name": f"ou-isaac-{name}", field: value}


@pytest.mark.parametrize("data", [None, [], 3, "ou-isaac"])
def test_json_must_be_an_object(data: object) -> None:
    with pytest.raises(InstanceError, match="expected an object"):
        from_dict(data, "f.json: architecture")


def test_json_unknown_and_missing_fields() -> None:
    good = Architecture().to_dict()
    with pytest.raises(InstanceError, match=r"f\.json: architecture: oops = 1, unknown field"):
        from_dict({**good, "oops": 1}, "f.json: architecture")
    del good["ou_rows"]
    with pytest.raises(InstanceError, match="ou_rows = None, missing"):
        from_dict(good, "f.json: architecture")
