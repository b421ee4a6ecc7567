"""The accelerator (``formulations/README.md``, M1). Presets are TOML files in ``instances/architectures``.

This module holds the data and its rules and reads no file; see :mod:`spatem_opt.model.presets` for names, files and
overrides.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from spatem_opt.errors import InstanceError
from spatem_opt.limits import LIMITS

MAX_CROSSBARS = LIMITS["crossbars"]
"""Far beyond any chip: a typing slip is caught, and tables of all crossbars stay small."""


class ArchitectureWarning(UserWarning):
    """An architecture is legal, but its numbers do not fit together physically."""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What one field of :class:`Architecture` may hold.

    Parameters
    ----------
    kind : {"int", "float", "bool", "choice", "text"}
    unit : str
        Unit as written in the TOML files; ``"-"`` for pure numbers.
    meaning : str
        One line for people.
    low, high : int
        Smallest and largest value of an integer. A float is at least 0 if `low` is 0, else greater.
    choices : tuple of str
        For ``choice``.
    auto : bool
        An integer that may be None, written ``"auto"`` in files and ``--set``: it then follows from the layer.
    """

    kind: Literal["int", "float", "bool", "choice", "text"]
    unit: str
    meaning: str
    low: int = 1
    high: int = 2**40
    choices: tuple[str, ...] = ()
    auto: bool = False

    def check(self, where: str, name: str, value: object) -> Any:
        """Return `value` as the plain Python type of this field.

        Raises
        ------
        InstanceError
            If `value` has another type (a bool is no number), is NaN or infinite, or lies outside the range.
        """
        if self.auto and (value is None or value == "auto"):
            return None
        if self.kind == "int":
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise InstanceError(where, name, value, "expected an integer" + (" or auto" if self.auto else ""))
            number = int(value)
            if not self.low <= number <= self.high:
                rule = f"expected >= {self.low}" if number < self.low else f"expected <= {self.high}"
                raise InstanceError(where, name, value, rule)
            return number
        if self.kind == "float":
            if isinstance(value, bool) or not isinstance(value, Real):
                raise InstanceError(where, name, value, "expected a number")
            real = float(value)
            if not (math.isfinite(real) and (real > 0 or real == self.low)):
                raise InstanceError(where, name, value, f"expected a finite number {'>=' if self.low == 0 else '>'} 0")
            return real
        if self.kind == "bool":
            if not isinstance(value, bool):
                raise InstanceError(where, name, value, "expected true or false")
            return value
        return self._check_text(where, name, value)

    def _check_text(self, where: str, name: str, value: object) -> str:
        """`check` for names and choices."""
        if self.kind == "choice" and value not in self.choices:
            raise InstanceError(where, name, value, "expected " + " or ".join(self.choices))
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise InstanceError(where, name, value, "expected a non-empty text of one line")
        return value

    def parse(self, where: str, name: str, text: str) -> Any:
        """Return the value that `text` spells (``--set name=text``); raises :class:`InstanceError` like `check`."""
        value: object = text
        try:
            if self.kind == "int":
                value = None if self.auto and text.lower() == "auto" else int(text)
            elif self.kind == "float":
                value = float(text)
            elif self.kind == "bool":
                value = {"true": True, "false": False}.get(text.lower(), text)
        except ValueError:
            pass  # `check` says what was expected
        return self.check(where, name, value)


def _int(default: int, unit: str, meaning: str, low: int = 1, high: int = 2**40) -> Any:
    return dataclasses.field(default=default, metadata={"rule": FieldRule("int", unit, meaning, low, high)})


def _part(default: float, unit: str, meaning: str) -> Any:
    """Area or leakage of a component; 0 where it is not known."""
    return dataclasses.field(default=default, metadata={"rule": FieldRule("float", unit, meaning, 0)})


def _other(default: object, rule: FieldRule) -> Any:
    return dataclasses.field(default=default, metadata={"rule": rule})


@dataclass(frozen=True, slots=True)
class Architecture:
    """A ReRAM accelerator; the defaults are the preset ``ou-isaac``.

    Every field states its unit, meaning and range in its declaration (:data:`FIELDS`); sources and derivations are in
    ``instances/architectures/*.toml``.

    Raises
    ------
    InstanceError
        If a field has the wrong type or lies outside its range, if the operation unit is larger than the crossbar, if
        a tile's buffer cannot hold one activation, or if the chip has more than 2**31 crossbars.

    Examples
    --------
    >>> chip = Architecture()
    >>> chip.crossbars, chip.ou_slots, chip.cells_per_weight(), chip.input_phases()
    (69888, 224, 8, 16)
    >>> Architecture(ou_rows=129)
    Traceback (most recent call last):
    spatem_opt.errors.InstanceError: architecture 'ou-isaac': ou_rows = 129, expected <= crossbar_rows = 128
    """

    name: str = _other("ou-isaac", FieldRule("text", "-", "shown to people"))
    mesh_rows: int = _int(14, "routers", "rows of the mesh of routers")
    mesh_cols: int = _int(13, "routers", "columns of the mesh of routers")
    tiles_per_router: int = _int(4, "tiles", "tiles that share one router (concentrated mesh)")
    pes_per_tile: int = _int(12, "PEs", "processing elements of a tile")
    crossbars_per_pe: int = _int(8, "crossbars", "crossbars of a processing element")
    crossbar_rows: int = _int(128, "wordlines", "rows H of a crossbar", high=2**20)
    crossbar_cols: int = _int(128, "bitlines", "columns V of a crossbar", high=2**20)
    ou_rows: int = _int(9, "wordlines", "rows h of an operation unit")
    ou_cols: int = _int(8, "bitlines", "columns v of an operation unit")
    cell_bits: int = _int(2, "bits", "bits that one cell stores", high=64)
    dac_bits: int = _int(1, "bits", "input bits that one operation applies to a wordline", high=64)
    adc_bits: int = _int(4, "bits", "resolution of an ADC sample", high=256)
    adcs_per_crossbar: int = _int(8, "ADCs", "bitlines of a crossbar that are converted at once", high=2**20)
    weight_bits: int = _int(16, "bits", "precision of weights (layers may override)", high=64)
    activation_bits: int = _int(16, "bits", "precision of activations (layers may override)", high=64)
    partial_sum_bits: int | None = _other(
        16, FieldRule("int", "bits", "width of a partial sum between tiles; auto: by layer (M4)", high=128, auto=True)
    )
    differential: bool = _other(False, FieldRule("bool", "-", "twice the cells per weight, for signed weights"))
    cycle_ns: float = _other(7.68, FieldRule("float", "ns", "duration of a cycle: one OU operation on every crossbar"))
    pipeline_tail_cycles: int = _int(5, "cycles", "analog tail, shift-and-add, activation, write-back of a window", 0)
    buffer_bits: int = _int(524288, "bits", "buffer of a tile")
    buffer_bits_per_cycle: int = _int(1248, "bits/cycle", "port from a tile's buffer to its PEs")
    buffer_scope: Literal["chip", "tile"] = _other(
        "chip", FieldRule("choice", "-", "may an overfull tile keep data in a neighbour (M8)", choices=("chip", "tile"))
    )
    overlap_input: bool = _other(
        False, FieldRule("bool", "-", "may the next window's inputs load while this one computes")
    )
    input_load: Literal["needed", "full"] = _other(
        "needed",
        FieldRule("choice", "-", "a window loads what it needs, or whole input registers", choices=("needed", "full")),
    )
    router_bits_per_cycle: int = _int(288, "bits/cycle", "bits that a router passes")
    hop_cycles: int = _int(1, "cycles", "latency of one router", 0)
    router_service: Literal["shared", "links"] = _other(
        "shared",
        FieldRule("choice", "-", "one server per router, or one per output of it (M6)", choices=("shared", "links")),
    )
    input_entry: Literal["columns", "corner"] = _other(
        "columns",
        FieldRule(
            "choice", "-", "where inputs enter: on top of each column of routers, or at router (0, 0) (M1)",
            choices=("columns", "corner"),
        ),
    )  # fmt: skip
    multicast: bool = _other(
        False, FieldRule("bool", "-", "does a datum for several tiles pass each router only once (M6)")
    )
    router_buffer_bits: int = _int(0, "bits", "what may wait at a router before a caution is given; 0: not stated", 0)
    digital_ops_per_cycle: int = _int(78, "ops/cycle", "pooling, add, concat, activation operations of a tile")
    ou_fj: int = _int(182, "fJ", "one OU operation: cells, wordline drivers, sample-and-hold", 0)
    adc_fj: int = _int(195, "fJ", "one ADC sample and its shift-and-add", 0)
    buffer_bit_fj: int = _int(142, "fJ/bit", "one bit through a tile's buffer and bus", 0)
    hop_bit_fj: int = _int(1094, "fJ/bit", "one bit through one router", 0)
    digital_op_fj: int = _int(271, "fJ", "one digital operation", 0)
    static_fj: int = _int(0, "fJ/cycle", "static energy of one tile and its share of a router", 0)
    crossbar_uw: float = _part(0, "uW", "leakage of a crossbar with its DACs and sample-and-holds")
    adc_uw: float = _part(0, "uW", "leakage of an ADC")
    pe_uw: float = _part(0, "uW", "leakage of the registers and shift-and-adds of a PE")
    buffer_uw: float = _part(0, "uW", "leakage of a tile's buffer")
    bus_uw: float = _part(0, "uW", "leakage of a tile's bus")
    digital_uw: float = _part(0, "uW", "leakage of a tile's digital units and output register")
    router_uw: float = _part(0, "uW", "leakage of a router")
    crossbar_mm2: float = _part(5.125e-05, "mm2", "area of a crossbar with its DACs and sample-and-holds")
    adc_mm2: float = _part(0.00036103759999999997, "mm2", "area of an ADC")
    pe_mm2: float = _part(0.00311, "mm2", "area of the registers and shift-and-adds of a PE")
    buffer_mm2: float = _part(0.083, "mm2", "area of a tile's buffer")
    bus_mm2: float = _part(0.09, "mm2", "area of a tile's bus")
    digital_mm2: float = _part(0.0041, "mm2", "area of a tile's digital units and output register")
    router_mm2: float = _part(0.151, "mm2", "area of a router")

    def __post_init__(self) -> None:
        where = f"architecture {self.name!r}"
        for key, rule in FIELDS.items():
            object.__setattr__(self, key, rule.check(where, key, getattr(self, key)))
        for small, large in (("ou_rows", "crossbar_rows"), ("ou_cols", "crossbar_cols"),
                             ("activation_bits", "buffer_bits")):  # fmt: skip
            if getattr(self, small) > getattr(self, large):
                rule_text = f"expected <= {large} = {getattr(self, large)}"
                raise InstanceError(where, small, getattr(self, small), rule_text)
        if self.crossbars > MAX_CROSSBARS:
            raise InstanceError(where, "crossbars of the chip", self.crossbars, f"expected <= {MAX_CROSSBARS}")

    @property
    def tiles(self) -> int:
        """Tiles of the chip."""
        return self.mesh_rows * self.mesh_cols * self.tiles_per_router

    @property
    def crossbars_per_tile(self) -> int:
        """Crossbars of a tile."""
        return self.pes_per_tile * self.crossbars_per_pe

    @property
    def crossbars(self) -> int:
        """Crossbars of the chip."""
        return self.tiles * self.crossbars_per_tile

    @property
    def ou_slots(self) -> int:
        """OU slots A of a slotted crossbar."""
        return (self.crossbar_rows // self.ou_rows) * (self.crossbar_cols // self.ou_cols)

    def cells_per_weight(self, weight_bits: int | None = None) -> int:
        """Cells s of one weight."""
        return -(-(weight_bits or self.weight_bits) // self.cell_bits) * (2 if self.differential else 1)

    def input_phases(self, activation_bits: int | None = None) -> int:
        """Input phases q of one OU operation."""
        return -(-(activation_bits or self.activation_bits) // self.dac_bits)

    def sum_bits(self, rows: int, weight_bits: int | None = None, activation_bits: int | None = None) -> int:
        """Width of a partial sum of a layer with `rows` matrix rows per filter [bits] (M4).

        :attr:`partial_sum_bits` if the chip gives it, else what holds every sum: the bits of all input phases, the bits
        of all slices of a weight, and ``ceil(log2(rows))`` for adding `rows` products; one more for the sign where
        weights are differences of two columns.

        Examples
        --------
        >>> Architecture().sum_bits(576), Architecture(partial_sum_bits=None).sum_bits(576)  # 16 + 16 + 10
        (16, 42)
        """
        if self.partial_sum_bits is not None:
            return self.partial_sum_bits
        slices = -(-(weight_bits or self.weight_bits) // self.cell_bits)
        bits = self.input_phases(activation_bits) * self.dac_bits + slices * self.cell_bits
        return bits + (rows - 1).bit_length() + self.differential

    def areas(self) -> dict[str, float]:
        """Area of all components of a kind [mm2]; their sum is the chip's. Wires between tiles and pads not included.

        Examples
        --------
        >>> f"{sum(Architecture().areas().values()):.0f} mm2"
        '389 mm2'
        """
        pes = self.tiles * self.pes_per_tile
        return {
            "crossbars": self.crossbars * self.crossbar_mm2,
            "adcs": self.crossbars * self.adcs_per_crossbar * self.adc_mm2,
            "pes": pes * self.pe_mm2,
            "buffers": self.tiles * self.buffer_mm2,
            "buses": self.tiles * self.bus_mm2,
            "digital": self.tiles * self.digital_mm2,
            "routers": self.mesh_rows * self.mesh_cols * self.router_mm2,
        }

    @property
    def largest_sum(self) -> int:
        """Largest sum on a bitline, ``h * (2^cell_bits - 1) * (2^dac_bits - 1)``."""
        return self.ou_rows * ((1 << self.cell_bits) - 1) * ((1 << self.dac_bits) - 1)

    @property
    def adc_bits_needed(self) -> int:
        """Bits that hold :attr:`largest_sum`."""
        return self.largest_sum.bit_length()

    def cautions(self) -> tuple[str, ...]:
        """One line for everything that is legal but physically doubtful.

        Examples
        --------
        >>> Architecture().cautions()
        ('adc_bits = 4, but 9 x 8 OUs can sum to 27: 5 bits would hold it (accuracy is not modelled)',)
        >>> Architecture(adc_bits=5).cautions()
        ()
        """
        if self.adc_bits >= self.adc_bits_needed:
            return ()
        return (
            f"adc_bits = {self.adc_bits}, but {self.ou_rows} x {self.ou_cols} OUs can sum to {self.largest_sum}: "
            f"{self.adc_bits_needed} bits would hold it (accuracy is not modelled)",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON; units are those of :data:`FIELDS`."""
        return {key: getattr(self, key) for key in FIELDS}


FIELDS: Mapping[str, FieldRule] = {f.name: f.metadata["rule"] for f in dataclasses.fields(Architecture)}
"""Rule of every field of :class:`Architecture`, in order."""


_ADDED = ("adcs_per_crossbar", *(key for key, rule in FIELDS.items() if rule.unit in ("uW", "mm2")))
"""Fields that solution files before them do not have: one ADC per bitline of an OU, area and leakage not known."""

REMOVED: Mapping[str, str] = {"contention_cycles": "removed: routers are queues now (M6); delete the line"}
"""Fields of earlier versions, and what to do with a file that has them."""


def from_dict(data: object, where: str) -> Architecture:
    """Return the architecture that a JSON object spells: every field, no other.

    Files written before areas, leakages and ``adcs_per_crossbar`` were fields may lack all of these together.

    Parameters
    ----------
    data : object
        As :meth:`Architecture.to_dict` writes it.
    where : str
        Named in errors, e.g. ``"x.json: architecture"``.

    Raises
    ------
    InstanceError
        If `data` is no object, a field is missing or unknown, or a value breaks its rule.
    """
    if not isinstance(data, dict):
        raise InstanceError(where, "", type(data).__name__, "expected an object")
    for key in data:
        if key in REMOVED:
            raise InstanceError(where, key, data[key], f"{REMOVED[key]}, or solve again")
        if key not in FIELDS:
            raise InstanceError(where, str(key), data[key], "unknown field")
    if not any(key in data for key in _ADDED):
        data = data | dict.fromkeys(_ADDED, 0.0) | {"adcs_per_crossbar": data.get("ou_cols", 1)}
    for key, rule in FIELDS.items():
        if key not in data:
            raise InstanceError(where, key, None, f"missing, expected {rule.meaning} [{rule.unit}]")
        rule.check(where, key, data[key])
    try:
        return Architecture(**data)
    except InstanceError as error:
        raise InstanceError(where, error.field, error.value, error.rule) from error
