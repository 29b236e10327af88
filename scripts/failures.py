"""Finds in the log of a step what it failed of."""

from __future__ import annotations

import itertools
import re

# Each is followed by its reasons.
FAILED_CASE = re.compile(r"FAILED \S+: ")
PANIC = re.compile(r"thread '.*' (?:\(\d+\) )?panicked at ")
# Not what Cargo says at the end of every test that failed.
COMPILER = re.compile(r"error(?:\[\w+\])?: (?!test failed|\d+ targets? failed)")
AFTER_PANIC = re.compile(r"stack backtrace:|note: |\s*$")

MOST_LINES = 12
"""For one of them."""
MOST = 40
"""For all lines of a step."""


def what_failed(log: str) -> list[str]:
    """The failed cases of a conformance report, the panics and the errors of a compiler; the end of the log where there are none."""
    lines = log.splitlines()
    found: list[str] = []
    for number, line in enumerate(lines):
        if FAILED_CASE.match(line):
            reasons = paragraph(lines[number + 1 :], lambda text: not text.startswith("    "))
        elif PANIC.match(line):
            reasons = paragraph(lines[number + 1 :], AFTER_PANIC.match)
        elif COMPILER.match(line):
            reasons = paragraph(lines[number + 1 :], lambda text: not text.startswith(" "))
        else:
            continue
        found += [line, *reasons]
    found = found or lines[-20:]
    if len(found) > MOST:
        found[MOST:] = [f"... and {len(found) - MOST} lines more"]
    return found


def paragraph(lines: list[str], ends) -> list[str]:
    taken = list(itertools.takewhile(lambda line: not ends(line), lines))
    if len(taken) > MOST_LINES:
        # The log of a server that died says why in its last line.
        taken[4 : 4 - MOST_LINES] = ["..."]
    return taken
