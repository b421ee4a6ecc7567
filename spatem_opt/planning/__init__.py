"""Plans: who decides mapping, groups, copies and places, before anything is scheduled.

Read plan and protocol (what a planner is), policy (what an objective asks for), registry; then the planners: segmented
with candidates, settings and edits, throughput, one_segment, baselines; exchanges and ready (before a plan is
scheduled), scale (how long an inference is, roughly).
"""
