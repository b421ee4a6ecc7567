"""The search: plans tried one after the other, scheduled, checked by the evaluator, and what is learnt of it.

Read realisation (plan to accepted solution), engine, workers, processes; budget (when what is given up); stop,
progress and result are what callers see.
"""
