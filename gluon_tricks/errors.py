"""Errors that the user can fix: each says what is wrong, where, and what to do."""


class UserError(Exception):
    """Wrong input, named in the message; the command line prints it as one line and exits with
    ``exit_code``.
    """

    exit_code = 2
