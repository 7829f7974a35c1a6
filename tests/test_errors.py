"""What came, as messages show it: one line, short, nothing that a terminal obeys."""

import pytest
import torch

from sre2l_core.errors import came, plain, refused, unknown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("cat", "'cat'"),
        (3, "3"),
        ("\x1b[31mred\n", r"'\x1b[31mred\n'"),
        ("\udcff", r"'\udcff'"),
        (torch.zeros(2, 1), "tensor([[0.], [0.]])"),
        ("x" * 5000, f"'{'x' * 99}… (5,002 characters)"),
    ],
)
def test_what_came_is_shown_in_one_short_line(value, shown):
    assert came(value) == shown
    assert came(value).isprintable()


def test_a_name_is_shown_as_it_is_where_a_line_can_hold_it():
    assert plain("n01443537 / tench, Tinca") == "n01443537 / tench, Tinca"
    assert plain("two\nlines") == r"'two\nlines'"
    assert len(plain("x" * 5000)) < 200


def test_a_long_name_that_is_not_known_is_not_repeated_in_full():
    said = str(unknown("preset", "digits" * 1000, ["digits", "cifar10"]))
    assert len(said) < 250
    assert "Known: cifar10, digits." in said
    assert str(unknown("backbone", 5, ["convnet"])) == "unknown backbone 5. Known: convnet."


def test_a_path_that_a_terminal_would_obey_is_quoted():
    assert str(refused("/a\x1b[2J/b", OSError(28, ""))).startswith(r"cannot write '/a\x1b[2J/b': No space left")
