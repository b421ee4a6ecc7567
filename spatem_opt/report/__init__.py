"""Reports for people: tables on the terminal, figures, HTML. Reads evaluations, computes nothing of its own."""
