"""Figures that several notebooks draw, and the style of all."""
