"""What is decided and for what: chip, solution, status and shortage, verdict of a referee; data only.

Read architecture, solution, result; then presets (chips from files) and verdict.
"""
