"""`sre2l presets`: names, one recipe, and the settings in which two differ."""

import json
import re

from sre2l_core import presets
from sre2l_core.__main__ import main


def shown(capsys, *arguments):
    assert main(["presets", *arguments]) == 0
    return capsys.readouterr().out


def test_all_names_are_listed_and_one_is_shown_as_json(capsys):
    assert shown(capsys).split() == sorted(presets.PRESETS)
    assert presets.Recipe.of(json.loads(shown(capsys, "digits/smoke"))) == presets.get("digits/smoke")


def test_what_the_authors_do_otherwise_is_one_command(capsys):
    lines = shown(capsys, "tiny-imagenet/resnet18/reference", "--against", "tiny-imagenet/resnet18/paper").splitlines()
    assert lines[0].split() == ["tiny-imagenet/resnet18/reference", "tiny-imagenet/resnet18/paper"]
    rows = [re.split(" {3,}", line) for line in lines[1:]]
    assert ["recover.roll", "-4 4", "0 0"] in rows
    assert ["recover.steps", "4000", "1000"] in rows
    assert len(rows) == 11
    assert len({line.index(value) for line, value in zip(lines, ["tiny", "epoch"], strict=False)}) == 1  # aligned


def test_no_value_and_options_of_a_network_are_written_as_one_types_them(capsys):
    words = shown(capsys, "table-5/imagenet-1k/bn_vit", "--against", "table-5/imagenet-1k/resnet18").split()
    assert "ffn_bias=False" in words
    assert words[words.index("squeeze.pretrained") :][1:3] == ["none", "IMAGENET1K_V1"]


def test_equal_presets_have_no_differences(capsys):
    told = shown(capsys, "table-4/tiny-imagenet/ipc50", "--against", "table-4/tiny-imagenet/ipc50")
    assert told == "table-4/tiny-imagenet/ipc50 and table-4/tiny-imagenet/ipc50 have the same settings.\n"
