"""The table of a sweep: numbers by independent formulas, every format read back by another program."""

import csv
import io
import json
import re
import sys

import pandas
import pytest
import scipy.stats

from sre2l_core.errors import ConfigError
from sre2l_core.runs.sweep_table import SweepRow, SweepTable

TEST, HELD = "the validation images", "20 % of the training images, held out with seed 0"


def row(alpha, values, judge=TEST, student="convnet", failures=None):
    return SweepRow({"recover.alpha_bn": alpha, "recover.crop": "none"}, student, values, failures or {}, judge)


FIRST, SECOND = row(0.0, {0: 80.0, 1: 82.0, 2: 87.0}), row(0.5, {0: 85.0, 1: 86.0, 2: 90.5})
TABLE = SweepTable(
    (FIRST, SECOND, row(1.0, {1: 90.0}, failures={0: "loss is nan", 2: "loss is nan"}), row(9.0, {}, ""))
)


def test_a_difference_is_the_paired_t_interval_of_scipy():
    found = TABLE.difference(SECOND)
    pairs = scipy.stats.ttest_rel([85.0, 86.0, 90.5], [80.0, 82.0, 87.0])
    low, high = pairs.confidence_interval(0.95)
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((12.5 / 3, low, high, 3))
    assert TABLE.difference(FIRST) is None
    assert TABLE.difference(TABLE.rows[2]).n == 1
    assert TABLE.difference(TABLE.rows[2]).mean == 8.0  # of seed 1 alone, not of the first with the first
    assert TABLE.difference(TABLE.rows[3]) is None


def test_rows_that_others_judged_or_that_share_no_seed_are_not_compared():
    assert row(1.0, {0: 1.0, 1: 2.0}, HELD).less(FIRST) is None
    assert row(1.0, {5: 1.0}).less(FIRST) is None
    both = SweepTable(
        (FIRST, row(0.0, {0: 70.0, 1: 71.0}, student="resnet18"), row(0.5, {0: 75.0}, student="resnet18"))
    )
    assert both.difference(both.rows[1]) is None  # the first of its student
    assert both.difference(both.rows[2]).mean == 5.0
    assert "| student |" in both.to_markdown()


def test_the_page_says_what_was_found_what_failed_and_who_judged():
    page = TABLE.to_markdown()
    assert page.splitlines()[0] == "| recover.alpha_bn | recover.crop | top-1 (%) | n | less the first |"
    assert "| 0 | none | 83.0 ± 3.6 | 3 |  |" in page
    low, high = scipy.stats.ttest_rel([85.0, 86.0, 90.5], [80.0, 82.0, 87.0]).confidence_interval(0.95)
    assert f"| 0.5 | none | 87.2 ± 2.9 | 3 | +4.2 ({low:+.1f} to {high:+.1f}) |" in page
    assert "| 1 | none | 90.0 | 1 | +8.0 |" in page
    assert "| 9 | none | not made | 0 |  |" in page
    assert "- No value for recover.alpha_bn = 1, recover.crop = none, seed 2: loss is nan" in page
    assert "Judged on the validation images. These are the images that papers report" in page
    held = SweepTable((row(0.0, {0: 1.0}, HELD),)).to_markdown()
    assert f"Judged on {HELD}." in held
    assert "papers report" not in held
    both = SweepTable((row(0.0, {0: 1.0}, HELD), FIRST)).to_markdown()
    assert "judged on |\n" in both
    assert f"| {HELD} |" in both


def test_csv_and_frame_hold_the_numbers_unrounded():
    rows = list(csv.DictReader(io.StringIO(TABLE.to_csv())))
    assert [float(each["recover.alpha_bn"]) for each in rows] == [0.0, 0.5, 1.0, 9.0]
    assert [float(value) for value in rows[0]["values"].split()] == [80.0, 82.0, 87.0]
    assert float(rows[1]["std"]) == pytest.approx(scipy.stats.tstd([85.0, 86.0, 90.5]))
    assert (rows[2]["failures"], rows[2]["std"], rows[3]["mean"], rows[3]["n"]) == ("loss is nan", "", "", "0")
    frame = TABLE.to_frame()
    assert frame["mean"].tolist()[:2] == pytest.approx([83.0, 261.5 / 3])
    assert frame["n"].tolist() == [3, 3, 1, 0]
    again = pandas.read_csv(io.StringIO(TABLE.to_csv()), keep_default_na=False)
    assert again["recover.crop"].tolist() == ["none"] * 4
    assert json.dumps(TABLE.records())


def test_latex_escapes_what_it_reads_as_commands():
    text = TABLE.to_latex()
    assert r"recover.alpha\_bn & recover.crop & top-1 (\%) & n & less the first \\" in text
    assert r"0 & none & 83.0 $\pm$ 3.6 & 3 &  \\" in text
    assert not re.search(r"(?<!\\)[_%#]", text)
    assert text.count("&") == 5 * 4
    assert (text.count("toprule"), text.count("bottomrule")) == (1, 1)
    odd = SweepTable((SweepRow({"data.data_root": r"C:\a_b~{c}^"}, "s", {0: 1.0}, {}, TEST),)).to_latex()
    assert r"C:\textbackslash{}a\_b\textasciitilde{}\{c\}\textasciicircum{}" in odd


def test_hostile_names_stay_in_their_cells():
    odd = SweepRow({"recover.init": "a|b <script>\n# c"}, "s", {}, {0: "no <b>memory</b> | left"}, "")
    page = SweepTable((odd, FIRST)).to_markdown()
    assert "| ` a\\|b <script> # c ` | s | failed | 0 |  |" in page
    assert "seed 0: ` no <b>memory</b> | left `" in page


def test_without_pandas_the_rest_works_and_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"pip install 'sre2l-core\[tables\]'"):
        TABLE.to_frame()
    assert TABLE.to_csv()


def test_three_files_are_written(tmp_path):
    assert [path.name for path in TABLE.write(tmp_path, "mine")] == ["mine.md", "mine.csv", "mine.tex"]
    assert (tmp_path / "mine.md").read_text(encoding="utf-8") == TABLE.to_markdown() + "\n"
    assert (tmp_path / "mine.csv").read_text(encoding="utf-8") == TABLE.to_csv()


def test_numbers_are_read_in_four_digits_unless_rows_would_look_alike():
    page = SweepTable((row(0.1862262976517972, {0: 80.0}), row(1.5e-5, {0: 81.0}), row(12345.678, {0: 82.0})))
    assert [line.split(" | ")[0] for line in page.to_markdown().splitlines()[2:5]] == [
        "| 0.1862",
        "| 1.5e-05",
        "| 12346",
    ]
    assert "0.1862262976517972" in page.to_csv()
    assert r"0.1862 & none" in page.to_latex()
    alike = SweepTable((row(0.18622, {0: 80.0}), row(0.18623, {0: 81.0}))).to_markdown()
    assert "| 0.18622 |" in alike
