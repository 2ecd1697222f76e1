"""Normalizing flows. Names are imported on first use."""
