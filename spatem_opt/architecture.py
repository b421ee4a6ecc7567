"""The accelerator (SPEC 1; ``formulations/README.md``, M1). Presets are TOML files in ``instances/architectures``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Architecture:
    """A ReRAM accelerator; the defaults are the preset ``ou-isaac``."""

    name: str = "ou-isaac"
    mesh_rows: int = 14
    mesh_cols: int = 13
    tiles_per_router: int = 4
    pes_per_tile: int = 12
    crossbars_per_pe: int = 8
    crossbar_rows: int = 128
    crossbar_cols: int = 128
    ou_rows: int = 9
    ou_cols: int = 8
    cell_bits: int = 2
    dac_bits: int = 1
    adc_bits: int = 4
    weight_bits: int = 16
    activation_bits: int = 16
    partial_sum_bits: int = 16
    differential: bool = False
    cycle_ns: float = 7.68
    pipeline_tail_cycles: int = 5
    buffer_bits: int = 524288
    buffer_bits_per_cycle: int = 1248
    buffer_scope: Literal["chip", "tile"] = "chip"
    overlap_input: bool = False
    input_load: Literal["needed", "full"] = "needed"
    router_bits_per_cycle: int = 288
    hop_cycles: int = 1
    contention_cycles: int = 4096
    digital_ops_per_cycle: int = 78
    ou_fj: int = 132
    adc_fj: int = 100
    buffer_bit_fj: int = 10
    hop_bit_fj: int = 10
    digital_op_fj: int = 10
    static_fj: int = 0

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
