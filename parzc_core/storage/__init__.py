"""What is computed once and kept: statistics, runs and rows of result tables, and the worker processes that make them."""
