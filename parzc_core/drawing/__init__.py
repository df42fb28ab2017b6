"""What several notebooks draw, and the style of all figures; a figure of one notebook is in its module."""
