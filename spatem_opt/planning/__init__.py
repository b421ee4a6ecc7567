"""Plans: who decides mapping, groups, copies and places, before anything is scheduled.

Read plan, settings, candidates; then baselines and one_segment.
"""
