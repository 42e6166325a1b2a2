"""Text from outside, such as names of files and classes, made safe to show: one line, and no
control characters. And numbers with their nouns.
"""

import re

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text):
    r"""``text`` with all that a terminal would act on written as an escape: ``\x1b`` for ESC,
    ``\n`` for a line break.

    Letters of every script stay. Bytes that are no UTF-8, which Python keeps in names of files as
    lone surrogates, become ``\xfc`` and the like, so that the result can always be encoded.
    """
    return "".join(
        character if character.isprintable() else _escape(character) for character in str(text)
    )


def counted(number, what):
    """``1 image``, ``1,000 images``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def has_control_characters(text):
    """Whether a name has line breaks, tabs or other characters that would break a list of names or
    act on a terminal.
    """
    return CONTROL.search(text) is not None


def first_line(error):
    """The first line of what an exception says, or the name of its class if that is nothing."""
    return _lines(error)[0]


def last_line(error):
    """The last one, in which MXNet says what is wrong."""
    return _lines(error)[-1]


def _lines(error):
    return str(error).strip().splitlines() or [type(error).__name__]


def _escape(character):
    if "\udc80" <= character <= "\udcff":  # surrogateescape: a byte of its own
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]
