"""The one exception that a user of mtbert is meant to read."""


class UserError(ValueError):
    """Something the user gave is wrong. The message is one sentence: what, where, and what to do about it.

    The command line prints it without a traceback and exits with 1.
    """
