"""Text from outside, such as names of files and classes, made safe to print: one line without
control characters. Also numbers with their nouns.
"""

import re

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(text):
    r"""``text`` with everything that a terminal would act on as an escape: ``\x1b`` for ESC, ``\n``
    for a line break.

    Letters of every script stay. Bytes that are not valid UTF-8, which Python keeps in file names
    as lone surrogates, become escapes such as ``\xfc``, so that the result can always be encoded.
    """
    return "".join(
        character if character.isprintable() else _escape(character) for character in str(text)
    )


def counted(number, what):
    """``1 image``, ``1,000 images``, ``2 boxes``."""
    plural = "es" if what.endswith(("s", "x", "tch")) else "s"
    return f"{number:,} {what}" + ("" if number == 1 else plural)


def has_control_characters(text):
    """Whether a name has line breaks, tabs or other characters that would break a list of names or
    act on a terminal.
    """
    return CONTROL.search(text) is not None


def first_line(error):
    """The first line of an exception's message, or its class name if the message is empty."""
    return _lines(error)[0]


def last_line(error):
    """The last line of the message, in which MXNet states the error."""
    return _lines(error)[-1]


def _lines(error):
    return str(error).strip().splitlines() or [type(error).__name__]


def _escape(character):
    if "\udc80" <= character <= "\udcff":  # surrogateescape: a single byte
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]
