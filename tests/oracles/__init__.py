"""Referees and problems that only tests use: plain, slow, and independent of what they judge."""
