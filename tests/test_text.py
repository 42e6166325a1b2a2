"""Names from outside cannot act on a terminal, and those of every script stay readable."""

import os

from hypothesis import given
from hypothesis import strategies as st

from gluon_tricks.text import counted, first_line, last_line, printable


def test_control_characters_are_shown_as_escapes():
    assert printable("x\x1b[31mred\x1b]0;title\x07.png") == r"x\x1b[31mred\x1b]0;title\x07.png"
    assert printable("two\nlines\tand a tab\r") == r"two\nlines\tand a tab\r"
    assert printable("\x9b31m \u202efdp.exe \u2028") == r"\x9b31m \u202efdp.exe \u2028"


def test_a_number_has_its_noun_in_the_right_form():
    assert counted(1, "part") == "1 part"
    assert counted(0, "part") == "0 parts" and counted(1024, "image") == "1,024 images"
    assert counted(1, "class") == "1 class" and counted(2, "box") == "2 boxes"
    assert counted(4, "epoch") == "4 epochs" and counted(4, "batch") == "4 batches"


def test_letters_of_every_script_stay():
    assert printable("Küche 台所 кухня 🍳.jpg") == "Küche 台所 кухня 🍳.jpg"


def test_bytes_of_a_name_that_are_no_utf8_are_shown_as_bytes():
    assert printable(os.fsdecode(b"k\xfcche")) == r"k\xfcche"


@given(st.text(st.characters()) | st.binary().map(os.fsdecode))
def test_the_result_is_one_printable_line_that_can_be_encoded(text):
    assert printable(text).isprintable()
    printable(text).encode("utf-8")


def test_an_error_has_a_first_and_a_last_line_even_if_it_says_nothing():
    error = ValueError("\none\n\ntwo\nthree\n")
    assert (first_line(error), last_line(error)) == ("one", "three")
    assert first_line(KeyError()) == last_line(KeyError()) == "KeyError"
