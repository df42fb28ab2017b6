"""What is trained and judged: rankers, predictors, ParZC+. Each run is a frozen record with a stored result."""
