"""The one error of this room.

Law: it names the reference as written and what to do, never a value.
"""

from __future__ import annotations

from engine.model.errors import ConfigurationError, RequestError


class SecretProblem(ConfigurationError, RequestError):
    """A secret could not be had. To an attempt it is a ConfigurationError, to a command a wrong request."""
