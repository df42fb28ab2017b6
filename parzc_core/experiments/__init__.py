"""One module a notebook, of the same name: what the notebook runs, its rows, and figures that only it draws."""
