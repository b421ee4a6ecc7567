"""What is decided and for what: chip, solution, status and shortage, verdict of a referee; data only.

Read architecture, solution, result; then presets and formula (chips from files), arguments (what front ends take) and
verdict.
"""
