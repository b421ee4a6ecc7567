"""Solutions and models to files, and answers of other solvers back.

Read solutions; then models, cases, model_files, values.
"""
