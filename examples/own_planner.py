"""All layers at once, each on tiles of its own, with copies in proportion to its cycles."""

import numpy as np

from spatem_opt.grouping.tile_parts import filled_tiling
from spatem_opt.model.solution import MappingOption
from spatem_opt.planning.plan import Plan
from spatem_opt.replication.layout import Allocation, interleaved


class Proportional:
    name = "proportional"

    def plans(self, task, rng):
        per_tile, layers = task.architecture.crossbars_per_tile, range(len(task.layers))
        grids = tuple(task.grid(i, MappingOption("im2col", "filled")) for i in layers)
        tilings = [filled_tiling(grid) for grid in grids]
        need = np.array([tiling.crossbars for tiling in tilings])
        windows = np.array([grid.windows for grid in grids])
        cycles = windows * [grid.phases * tiling.serial for grid, tiling in zip(grids, tilings, strict=True)]
        for copies_per_cycle in np.geomspace(1.0, 1e-9, 200):
            copies = np.clip(cycles * copies_per_cycle, 1, windows).astype(int)
            tiles = -(-copies * need // per_tile)
            first = (np.cumsum(tiles) - tiles) * per_tile  # crossbar along the serpentine order
            if tiles.sum() <= task.architecture.tiles:
                split = [interleaved(int(windows[i]), int(copies[i])) for i in layers]
                place = [first[i] + np.arange(copies[i]) * need[i] for i in layers]
                yield Plan(self.name, grids, list(map(Allocation, tilings, place, split)))
                return
