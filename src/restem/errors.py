"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Bad input or a missing part; the message is one sentence that says what to do."""
