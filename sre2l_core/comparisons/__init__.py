"""Comparisons that the paper does not have, one file each, run like its tables (`sre2l compare`).

`ls` is the catalogue. A file offers a `paper.Entry` without published columns in `PLUGINS`.
"""
