"""OU grouping: the inside of one copy (M4): tile parts first, crossbars within a part second.

Read problem, referee, bounds; strips, serpentine, guillotine, improve, heuristic (one rectangle of OUs); then tiling,
tile_parts and regrouping (a copy over tiles).
"""
