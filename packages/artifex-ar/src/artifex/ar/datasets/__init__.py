"""Data to try sequence models on, from nothing but what is installed."""
