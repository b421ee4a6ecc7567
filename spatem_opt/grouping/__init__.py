"""OU grouping: which OUs of one copy sit on the same crossbar (M4, ``formulations/grouping/README.md``)."""
