"""Formulas of chip files: values by hand, and whatever is no formula is one clear line."""

from __future__ import annotations

import pytest

from spatem_opt.errors import InstanceError
from spatem_opt.model.formula import LARGEST, MAX_TEXT, parse

FIELDS = {"ou_rows": 9.0, "ou_cols": 16.0, "adcs": 8.0, "bits": 4.0, "zero": 0.0}


def value(text: str) -> float:
    return parse(text, "chip.toml", "x").value(FIELDS, "chip.toml", "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        ("1.5e3", 1500.0),
        ("ou_rows", 9.0),
        ("  ou_rows + 1 ", 10.0),
        ("1 + 2 * 3 ** 2", 19.0),
        ("(1 + 2) * 3", 9.0),
        ("-2 ** 2", -4.0),
        ("+3 - -3", 6.0),
        ("10 / 4 - 1", 1.5),
        ("2 ** -1", 0.5),
        ("2 ** 3 ** 2", 512.0),
        ("ceil(9 / 8)", 2.0),
        ("floor(-0.5)", -1.0),
        ("log2(ou_cols)", 4.0),
        ("min(ou_rows, ou_cols, 12)", 9.0),
        ("max(3)", 3.0),
        ("max(7.68, ceil(ou_cols / adcs) * 2.56 * bits)", 20.48),
    ],
)
def test_values_by_hand(text: str, expected: float) -> None:
    assert value(text) == expected


def test_names_in_order_each_once() -> None:
    assert parse("b + a * max(b, c)", "f", "x").names == ("b", "a", "c")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "ou_rows.__class__",
        "(lambda: 1)()",
        "[1, 2]",
        "{1: 2}",
        "'9'",
        "True",
        "None",
        "1j",
        "ou_rows if 1 else 2",
        "ou_rows == 9",
        "1 and 2",
        "not 1",
        "~1",
        "7 // 2",
        "7 % 2",
        "1 << 9",
        "9 @ 9",
        "(x := 3)",
        "max(*[1])",
        "max(1, key=2)",
        "abs(1)",
        "exec('1')",
        "floor",
        "max()",
        "ceil(1, 2)",
        "log2()",
        "f'{1}'",
        "ou_rows[0]",
        "",
        "1 +",
        "1\n2",
        "a; b",
        "\x00",
        "(" * 240 + "1" + ")" * 240,
        "9" * 400,
        "1e31",
    ],
)
def test_what_is_no_formula(text: str) -> None:
    """Everything Python has and formulas do not; `floor` alone is a name, and no field is called so."""
    if text == "floor":
        assert parse(text, "chip.toml", "x").names == ("floor",)
        return
    with pytest.raises(InstanceError, match=r"^chip\.toml: x\.derive = ") as error:
        parse(text, "chip.toml", "x")
    message = str(error.value)
    assert "\n" not in message
    assert len(message) <= 300


def test_too_long() -> None:
    with pytest.raises(InstanceError, match=f"{MAX_TEXT + 1} characters', expected at most {MAX_TEXT}"):
        parse("1" * (MAX_TEXT + 1), "f", "x")


@pytest.mark.parametrize("text", ["+".join("1" * 240), "-" * 495 + "1", "max(" + ",".join("1" * 245) + ")"])
def test_too_many_parts(text: str) -> None:
    with pytest.raises(InstanceError, match="expected at most 200 numbers, names and operators"):
        parse(text, "f", "x")


@pytest.mark.parametrize("text", ["1 / zero", "ou_rows / (bits - 4)", "zero ** -1"])
def test_division_by_zero(text: str) -> None:
    with pytest.raises(InstanceError, match="expected no division by zero"):
        value(text)


@pytest.mark.parametrize(
    "text", ["9 ** 9 ** 9", "10 ** 31", "1e30 * 10", "log2(zero)", "log2(-1)", "(zero - 1) ** 0.5", "1e30 + 1e30"]
)
def test_overflow_and_undefined(text: str) -> None:
    with pytest.raises(InstanceError, match=f"expected real numbers of at most {LARGEST:g}".replace("+", r"\+")):
        value(text)


def test_the_fields_are_named_in_errors() -> None:
    with pytest.raises(InstanceError, match=r"x\.derive = 'bits / zero', .*\(at bits = 4, zero = 0\)"):
        value("bits / zero")
