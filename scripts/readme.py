#!/usr/bin/env python3
"""Writes the table of what each driver can do into the README, as the conformance suite has found it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- capabilities:begin -->", "<!-- capabilities:end -->"
# The same selection of features as the test command's, so that nothing is built again.
COMMAND = ["cargo", "run", "--quiet", "--locked", "--all-features", "--bin", "capabilities"]


def with_table(readme: str, said: str) -> str:
    """The README with the table of what the suite said between its two marks."""
    table = "\n".join(line for line in said.splitlines() if line.startswith("|"))
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md has lost its marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


if __name__ == "__main__":
    made = subprocess.run(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if made.returncode != 0:
        sys.exit("the suite did not pass: the README stays as it is")
    README.write_text(with_table(README.read_text(encoding="utf-8"), made.stdout), encoding="utf-8")
