"""ParZC+: graph features and log node statistics, read by two Gaussian processes and extra-trees."""
