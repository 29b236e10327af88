"""What must be true of the repository and of what it depends on. Each check returns its findings, one sentence each."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Iterable

from tools import dotted, parse_version

# store-core is the contract: whoever implements or embeds it must not pay for a network client.
NETWORK_CRATES = set(
    """
    async-nats async-std axum curl fred h2 hickory-resolver hyper hyper-util isahc mio native-tls openssl quinn redis reqwest
    rustls smol socket2 tokio-rustls tonic tungstenite ureq
    """.split()
)
NETWORK_FEATURES = {"tokio": {"net", "full", "process", "signal"}}

MAX_FILE_BYTES = 500_000
LICENSE = "MIT OR Apache-2.0"

# Built from pieces, so that this file does not find itself.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:{}\b|(?:{}|{})/\w)".format("root", "home", "Users"))
REGISTRY_HOST = re.compile(
    r"\b(?:{})\b".format("|".join(map(re.escape, ["crates" + ".io", "pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org"])))
)
# The one line in which Cargo names where a locked package came from.
LOCK_SOURCE = re.compile(r'^source = "registry\+.*"$')


def core_without_network(tree: str) -> list[str]:
    """Over the lines `name version|feature,feature` of `cargo tree`."""
    findings = []
    for line in sorted(set(tree.splitlines())):
        package, _, features = line.partition("|")
        name = package.split(" ")[0]
        if name in NETWORK_CRATES:
            findings.append(f"store-core depends on {package}, a network client or part of one")
        for feature in sorted(NETWORK_FEATURES.get(name, set()) & set(features.split(","))):
            findings.append(f"store-core depends on {name} with its feature `{feature}`")
    return findings


def minimum_rust(metadata: dict) -> list[str]:
    """Whether every package that a library needs, for itself or to build, supports the Rust that this library promises."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    findings = []
    for library in metadata["workspace_members"]:
        if packages[library]["publish"] == []:
            continue
        promised = rust_version(packages[library])
        findings += [
            f"{packages[id]['name']} {packages[id]['version']} asks for Rust {dotted(rust_version(packages[id]))}; "
            f"{packages[library]['name']}, which needs it, promises {dotted(promised)}"
            for id in needed(library, nodes)
            if rust_version(packages[id]) > promised
        ]
    return sorted(findings)


def needed(root: str, nodes: dict) -> set[str]:
    """A package and all below it, but for what only its tests need."""
    seen, todo = set(), [root]
    while todo:
        id = todo.pop()
        if id not in seen:
            seen.add(id)
            todo.extend(
                dependency["pkg"]
                for dependency in nodes[id]["deps"]
                if any(kind["kind"] in (None, "build") for kind in dependency["dep_kinds"])
            )
    return seen


def rust_version(package: dict) -> tuple[int, ...]:
    # Three numbers, so that 1.89 and 1.89.0 are the same.
    return (parse_version(package["rust_version"] or "0.0") + (0, 0))[:3]


def licences(metadata: dict, root: Path) -> list[str]:
    members = set(metadata["workspace_members"])
    findings = [
        f"{package['name']} has the licence {package['license']!r} and not {LICENSE!r}"
        for package in metadata["packages"]
        if package["id"] in members and package["license"] != LICENSE
    ]
    findings += [f"{name} is missing" for name in ("LICENSE-MIT", "LICENSE-APACHE") if not (root / name).is_file()]
    return findings


def tracked_files(root: Path) -> list[Path]:
    """What git tracks or would track, so that a new file is looked at before it is committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return sorted(root / name for name in names if name and (root / name).is_file())
    # An unpacked archive.
    return sorted(
        path for path in root.rglob("*") if path.is_file() and "target" not in path.relative_to(root).parts
    )


def files(root: Path, paths: Iterable[Path]) -> list[str]:
    """No path of somebody's machine, no host of a package registry, nothing big."""
    findings = []
    for path in paths:
        name = path.relative_to(root).as_posix()
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            findings.append(f"{name} has {size} bytes, more than {MAX_FILE_BYTES}")
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        findings += [f"{name}:{number}: {finding}" for number, finding in lines(name, text)]
    if not (root / "Cargo.lock").is_file():
        findings.append("Cargo.lock is missing")
    return findings


def lines(name: str, text: str) -> Iterable[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield number, "a path of one machine"
        if REGISTRY_HOST.search(line) and not (name.endswith("Cargo.lock") and LOCK_SOURCE.match(line)):
            yield number, "the host of a package registry"
