"""Many solutions side by side: methods compared, suites of instances, fronts of two objectives.

Read compare, then bench and pareto.
"""
