"""Spatial replication: how many copies of each layer, in which segments, for which windows (M4, M7).

Read layout (copies, windows of each, the order of crossbars), modes (what a layer may choose from), chains (the same
for layers that share small groups of tiles), segmentation; then side_by_side and throughput.
"""
