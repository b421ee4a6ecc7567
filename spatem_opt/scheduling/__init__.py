"""Temporal scheduling: when every window runs (M7).

Read list_schedule, bounds, rebalancing; then chunks, chunk_bounds, chunk_heuristic, expansion (what the
models order) and replay (plain, for tests and the joint model).
"""
