#!/usr/bin/env python3
"""Makes a provider archive for wasmCloud hosts, and the manifests of provider/manifests with its place in them.

    python3 scripts/archive.py DIRECTORY            builds the provider with all optimisations
    python3 scripts/archive.py DIRECTORY --binary FILE   takes this binary
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What the manifests in the repository say.
PLACE = "file:///opt/keyvalue.par.gz"


def manifest(text: str, archive: Path) -> str:
    """The manifest with the archive's own place."""
    if PLACE not in text:
        raise ValueError(f"a manifest does not name {PLACE}")
    return text.replace(PLACE, archive.as_uri())


def build() -> Path:
    """The provider's binary."""
    said = subprocess.run(
        ["cargo", "build", "--release", "--locked", "-p", "provider", "--message-format", "json-render-diagnostics"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return executable(said.stdout)


def executable(messages: str) -> Path:
    """The program that Cargo's messages, one JSON object a line, say was built."""
    found = [
        message["executable"]
        for message in map(json.loads, messages.splitlines())
        if message.get("executable") and message["target"]["name"] == "provider"
    ]
    if not found:
        raise ValueError("Cargo did not say where the provider's binary is")
    return Path(found[-1])


def target_directory() -> Path:
    """Where Cargo builds the workspace, which is not always `target`."""
    asked = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    return Path(json.loads(subprocess.check_output(asked, cwd=ROOT))["target_directory"])


def main() -> int:
    parser = argparse.ArgumentParser(description="Makes a provider archive and its manifests.")
    parser.add_argument("directory", type=Path, help="where they go")
    parser.add_argument("--binary", type=Path, help="the provider's binary, instead of building it")
    arguments = parser.parse_args()
    directory = arguments.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    archive = directory / "keyvalue.par.gz"
    binary = (arguments.binary or build()).resolve()
    # From its directory, whose configuration gets it through every compiler; its target is below the workspace's.
    par = ["cargo", "run", "--quiet", "--locked", "--target-dir", str(target_directory() / "real-host"), "--bin", "par"]
    subprocess.run([*par, "--", str(binary), str(archive)], cwd=ROOT / "provider" / "real-host", check=True)
    made = [archive]
    for source in sorted((ROOT / "provider" / "manifests").glob("*.yaml")):
        target = directory / source.name
        target.write_text(manifest(source.read_text(encoding="utf-8"), archive), encoding="utf-8")
        made.append(target)
    for path in made:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
