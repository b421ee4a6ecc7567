"""Weight mapping: which option each layer's weights use (M3), and what is missing where they do not fit.

Read problem, heuristic, bounds, referee; then shortage.
"""
