"""Collect node statistics: of one architecture, of a sample of a space, and joined with labels; and what that costs."""
