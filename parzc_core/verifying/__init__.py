"""Recompute a sample of what is committed, and say of each value whether it is the same here."""
