"""The search: plans tried one after the other, scheduled, checked by the evaluator, and what is learnt of it.

Read realisation (plan to accepted solution), engine, workers; stop and result are what callers see.
"""
