"""One module for each notebook, with the same name: its plan, its rows, and the figures that only it draws."""
