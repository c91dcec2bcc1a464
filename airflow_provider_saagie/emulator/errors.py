"""What the emulator refuses, and how the platform would classify it."""

from __future__ import annotations


class EmulatorError(Exception):
    """A refusal with the platform's classification of it."""

    classification = "BAD_REQUEST"


class NotFoundError(EmulatorError):
    """Something that was asked for by its id or name does not exist."""

    classification = "NOT_FOUND"


class InvalidError(EmulatorError):
    """A value breaks one of the platform's rules."""

    classification = "ValidationError"


class RefusedError(EmulatorError):
    """The value is sound, but the state of things forbids it now."""

    classification = "BAD_REQUEST"


class DataFolderError(Exception):
    """The data folder can't be used; the message says why and what to do."""
