"""Errors that a person can act on: what, where and what to do in one line, each with its exit code (contract, 4)."""

from __future__ import annotations


class DoctorError(Exception):
    """Base of all expected errors. ``exit_code`` is what the command ends with."""

    exit_code = 3


class UsageError(DoctorError):
    """A wrong option or argument, or an unreadable configuration, policy or baseline."""

    exit_code = 2


class TargetError(DoctorError):
    """A named target could not be looked at."""


class DocumentError(DoctorError):
    """A snapshot, record or other document that cannot be used."""
