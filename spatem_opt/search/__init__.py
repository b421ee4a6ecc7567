"""The search: plans tried one after the other, scheduled, checked by the evaluator, and what is learnt of it.

Read realisation (plan to accepted solution), engine (whose plan is next), workers, processes; record (the best so far);
budget (when what is given up); given (a placement of one's own); stop, progress and result are what callers see.
"""
