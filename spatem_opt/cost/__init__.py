"""The shared cost model of all steps: what a placement costs and takes (M3-M6); bounds on any solution whatever.

Read grid (M3), durations (M4, M6), placed (a placed network and its chunks of windows), transport (M5, M6), traffic,
mesh; then bounds. The evaluator computes the same with code of its own.
"""
