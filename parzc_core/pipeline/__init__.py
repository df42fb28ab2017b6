"""Run the notebooks as a graph of tasks, each in its own process."""
