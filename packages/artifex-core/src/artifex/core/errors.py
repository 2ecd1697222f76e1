"""What Artifex raises when the fault lies with the input: each error says what was given, what was expected and the fix."""

from __future__ import annotations


class ArtifexError(Exception):
    """Base of every error that a user can mend. The command line shows its message alone and exits with code 2."""


class UnknownNameError(ArtifexError, LookupError):
    """A name that no installed plugin registers."""


class PluginError(ArtifexError, RuntimeError):
    """A plugin that cannot be used as it stands."""


class PluginConflictError(PluginError):
    """Two plugins claim one name; the message names both distributions."""


class InvalidInputError(ArtifexError, ValueError):
    """A value, shape or combination that does not fit."""


class InvalidTypeError(ArtifexError, TypeError):
    """An object of a kind that cannot serve here."""


class DataError(ArtifexError, ValueError):
    """A data set that is missing, unreadable or not what its name promises."""


class RunError(ArtifexError, RuntimeError):
    """A run folder, checkpoint or run file that cannot be used."""


class RunInUseError(RunError):
    """A run folder that another process works in."""


class RunWarning(UserWarning):
    """Something of a run that was mended without asking, and that its user should know of."""


class NonFiniteLossError(ArtifexError, FloatingPointError):
    """Training met a loss that is not a finite number."""
