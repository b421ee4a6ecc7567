"""Many solutions side by side: methods compared, suites of instances, fronts of two objectives.

Read compare, then bench and store (what bench keeps), pareto and front_folder (what pareto keeps).
"""
