"""Tables, figures and HTML of solutions and comparisons; computes nothing that the evaluator does not.

Read tables, figures, html; compare for comparisons; columns (CSV, LaTeX) and trace (Perfetto) for other tools.
"""
