"""Documented longer path of :mod:`artifex.training.trainer`."""

from artifex.training.trainer import Trainer, TrainerConfig

__all__ = ["Trainer", "TrainerConfig"]
