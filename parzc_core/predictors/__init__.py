"""Predictors that rank architectures from their graphs, each from its own paper and in its own file."""
