"""Plans: who decides mapping, groups, copies and places, before anything is scheduled.

Read plan, settings, edits, candidates; then baselines, one_segment and scale (how long an inference is, roughly).
"""
