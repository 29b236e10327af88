#!/usr/bin/env python3
"""The test command: installs what the tests need, then runs everything.

    python3 scripts/test.py                 all that CI runs
    python3 scripts/test.py --full          also the long runs: millions of records, crashes, soak
    python3 scripts/test.py --list          the steps
    python3 scripts/test.py --only unit     one step (or several: --only unit,doc)
    python3 scripts/test.py --from lints    this step and all after it

A step that fails shows its whole log; the others still run. Logs are kept in `target/logs`. To add a step, write a function
that takes a `Run` and add it to `STEPS`; to add a server, see `tools.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Callable, Iterable, TextIO

import checks
from failures import what_failed
from tools import Missing, Tools

ROOT = Path(__file__).resolve().parent.parent

# Integration tests that kill, pause and cut off servers of their own, by the clock: in a step of their own, one at a time.
ALONE = ["nats_bad_days", "nats_cluster", "nats_conformance", "nats_crashes", "redis_servers"]

# What tests say although they pass: that something is left out here, or takes its time.
NOTE = r"^==> "

# The same selection for every test step, so that nothing is built twice with other features.
ALL = ["--workspace", "--all-features", "--locked"]


class Failed(Exception):
    """A step failed; the message says how."""


# --- the steps -------------------------------------------------------------------------------------------------------------


def tools(run: Run) -> None:
    if run.server_problems:
        raise Failed("\n".join(run.server_problems))
    for name, path in sorted(run.servers.items()):
        run.say(f"{name}={path}")


def scripts(run: Run) -> None:
    discover = ["discover", "--start-directory", "scripts", "--pattern", "test_*.py"]
    run.command([sys.executable, "-m", "unittest", *discover], show=r"Ran \d+ tests?")


def unit(run: Run) -> None:
    run.test(*ALL, "--lib", "--bins")


def doc(run: Run) -> None:
    run.test(*ALL, "--doc")


def conformance(run: Run) -> None:
    # One test for each driver and layer, which is named so and prints how many cases there were.
    run.test(*ALL, *run.targets(of_examples=False), "--", "conformance", show=r"\d+ cases in .* passed")


def suites(run: Run) -> None:
    run.test(*ALL, *run.targets(of_examples=False), "--", "--skip", "conformance", show=NOTE)


def nats(run: Run) -> None:
    alone = [word for name in ALONE for word in ("--test", name)]
    run.test(*ALL, *alone, "--", "--test-threads", "1", show=NOTE)


def examples(run: Run) -> None:
    run.test(*ALL, "--examples", *run.targets(of_examples=True))


def real_host(run: Run) -> None:
    """A workspace of its own, as the host pins an old wasmtime; the provider and the components in it are ours."""
    if shutil.which("rustup"):
        run.succeeds(["rustup", "target", "add", "wasm32-wasip2"], seconds=120)
    run.cargo("build", "--locked", "-p", "provider")
    target = Path(run.metadata["target_directory"])
    guests = ["--manifest-path", "provider-wasmtime/guests/Cargo.toml", "--target-dir", str(target / "guests")]
    run.cargo("build", "--release", "--locked", "--target", "wasm32-wasip2", *guests)
    host = ROOT / "provider" / "real-host"
    made = target / "archive"
    run.command([sys.executable, "scripts/archive.py", str(made), "--binary", str(target / "debug" / "provider")])
    run.test(
        *["--locked", "--manifest-path", str(host / "Cargo.toml"), "--target-dir", str(target / "real-host")],
        env={
            # As its own configuration says, which Cargo reads only from its directory.
            "RUSTC_WRAPPER": str(host / "rustc-wrap.sh"),
            "STORE_TEST_ARCHIVE": str(made / "keyvalue.par.gz"),
            "STORE_TEST_GUESTS": str(target / "guests" / "wasm32-wasip2" / "release"),
        },
    )


def bench(run: Run) -> None:
    bench = ["run", "--release", "--locked", "-p", "tests", "--bin", "bench"]
    for suite in ["memory", "redis", "nats"]:
        run.command(["cargo", *bench, "--", suite, "--quick"], env=run.servers)
    run.command(["cargo", *bench, "--features", "provider", "--", "provider", "--quick"], env=run.servers)


def fmt(run: Run) -> None:
    run.cargo("fmt", "--all", "--check")


def lints(run: Run) -> None:
    run.clippy("--workspace", "--all-targets", "--all-features")
    # As its users build it: without what the suites need.
    run.clippy("-p", "tests", "--bin", "bench")
    # Each feature of a library on its own, and none: what only builds by the accident of another feature shows here.
    for package in run.libraries:
        features = sorted(set(package["features"]) - {"default"})
        for one in [[]] + [["--features", feature] for feature in features]:
            if features:
                run.clippy("-p", package["name"], "--lib", "--no-default-features", *one)


def docs(run: Run) -> None:
    run.cargo("doc", *ALL, "--no-deps", env={"RUSTDOCFLAGS": "-D warnings"})


def core(run: Run) -> None:
    tree = ["tree", "-p", "store-core", "-e", "normal,build", "--all-features", "--locked", "--target", "all"]
    listed = run.cargo(*tree, "--prefix", "none", "--format", "{p}|{f}")
    run.expect(checks.core_without_network(listed))
    run.say(f"{len(set(listed.splitlines()))} packages below store-core, none of them a network client")


def rust(run: Run) -> None:
    run.expect(checks.minimum_rust(run.metadata))
    promises: dict[str, list[str]] = {}
    for package in run.libraries:
        promises.setdefault(checks.dotted(checks.rust_version(package)), []).append(package["name"])
    for promised, names in sorted(promises.items()):
        run.say(f"Rust {promised}: every package that {', '.join(names)} need allows it")
        if not run.has_rust(promised):
            run.say(f"not built with it, as it is not here: `rustup toolchain install {promised}` adds that")
            continue
        libraries = [word for name in names for word in ("-p", name)]
        run.command(["rustup", "run", promised, "cargo", "check", *libraries, "--all-features", "--locked"])
        run.say(f"built with Rust {promised}")


def deny(run: Run) -> None:
    try:
        program = str(run.tools.cargo_deny())
    except Missing as missing:
        raise Failed(str(missing)) from None
    check = [program, "--all-features", "--locked"]
    run.command([*check, "check", "bans", "licenses", "sources"], show=r"(bans|licenses) \w+,")
    if run.succeeds([program, "fetch", "db"], seconds=60):
        run.command([*check, "--offline", "check", "advisories"], show=r"advisories \w+$")
    else:
        run.say("advisories NOT checked: the advisory database cannot be reached from here")


def files(run: Run) -> None:
    run.cargo("metadata", "--locked", "--no-deps", "--format-version", "1")
    found = checks.tracked_files(ROOT)
    run.expect(checks.files(ROOT, found) + checks.licences(run.metadata, ROOT))
    run.say(f"{len(found)} files, Cargo.lock up to date")


@dataclass(frozen=True)
class Step:
    run: Callable[[Run], None]
    what: str
    full: bool = False  # only with --full
    minutes: int = 30  # the most it may take; eight times that with --full

    @property
    def name(self) -> str:
        return self.run.__name__


STEPS = [
    Step(tools, "nats-server and redis-server for the suites"),
    Step(scripts, "the tests of these scripts"),
    Step(unit, "unit tests of every crate"),
    Step(doc, "every example in the documentation, the README and docs/"),
    Step(conformance, "the conformance suite on every driver and layer"),
    Step(suites, "all other integration tests"),
    Step(examples, "the examples, against the real binaries"),
    Step(nats, "NATS and Redis: the conformance suite in every layout and on every server; kills, cuts, a cluster of three"),
    Step(real_host, "the provider and components in a real wasmCloud 1 host", full=True),
    Step(bench, "the benchmarks, shortened", full=True),
    Step(fmt, "formatting"),
    Step(lints, "clippy, all features and each on its own"),
    Step(docs, "rustdoc without warnings"),
    Step(core, "store-core has no network client below it"),
    Step(rust, "the oldest Rust that the libraries promise"),
    Step(deny, "licences, sources, bans, advisories of dependencies"),
    Step(files, "lock file, licences, what must not be in the repository"),
]


# --- the machine -----------------------------------------------------------------------------------------------------------


class Run:
    """What a step works with: it runs commands into the step's log, shows what matters, and counts test cases."""

    def __init__(self, full: bool):
        self.full = full
        self.passed = 0
        self.failed = 0
        self.log: TextIO = sys.stderr
        self.deadline = float("inf")
        self.child: subprocess.Popen | None = None
        self.environment = {**os.environ, "CARGO_TERM_COLOR": "never", "RUST_BACKTRACE": "1"}
        if full:
            self.environment["STORE_TEST_FULL"] = "1"
        if "CI" in os.environ:
            # Built once and thrown away: what a next build would need is half the disk.
            self.environment.setdefault("CARGO_INCREMENTAL", "0")

    @cached_property
    def metadata(self) -> dict:
        asked = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"]
        found = subprocess.run(asked, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if found.returncode != 0:
            raise Failed(f"cargo metadata failed; is Cargo.lock up to date?\n{found.stderr}")
        return json.loads(found.stdout)

    @cached_property
    def members(self) -> list[dict]:
        inside = set(self.metadata["workspace_members"])
        return [package for package in self.metadata["packages"] if package["id"] in inside]

    @cached_property
    def libraries(self) -> list[dict]:
        """The crates for others: what is published."""
        return [package for package in self.members if package["publish"] != []]

    @cached_property
    def tools(self) -> Tools:
        directory = Path(self.metadata["target_directory"]) / "tools"
        directory.mkdir(parents=True, exist_ok=True)
        return Tools(directory, self.succeeds, self.say)

    @cached_property
    def _servers(self) -> tuple[dict[str, str], list[str]]:
        return self.tools.servers(self.full)

    @property
    def servers(self) -> dict[str, str]:
        return self._servers[0]

    @property
    def server_problems(self) -> list[str]:
        return self._servers[1]

    def targets(self, of_examples: bool) -> list[str]:
        """`--test NAME` for the integration tests of the examples, or for all others."""
        names = {
            target["name"]
            for package in self.members
            for target in package["targets"]
            if "test" in target["kind"] and ("examples" in Path(package["manifest_path"]).parts) == of_examples
        }.difference(ALONE)
        return [word for name in sorted(names) for word in ("--test", name)]

    def has_rust(self, version: str) -> bool:
        """Whether this Rust is here, once rustup has tried to get it."""
        if not shutil.which("rustup"):
            return False
        works = ["rustup", "run", version, "rustc", "--version"]
        install = ["rustup", "toolchain", "install", version, "--profile", "minimal", "--no-self-update"]
        return self.succeeds(works) or (self.succeeds(install, seconds=300) and self.succeeds(works))

    def test(self, *arguments: str, show: str | None = None, env: dict[str, str] | None = None) -> None:
        """Runs `cargo test`, shows its summaries and counts their cases."""
        summary = re.compile(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;.*")
        runner = re.compile(r"\s+(?:Running (?:unittests )?(.+?) \(|Doc-tests (\S+))")
        what, ran = "", 0

        def read(line: str) -> None:
            nonlocal what, ran
            if found := runner.match(line):
                what = found[1] or f"documentation of {found[2]}"
            elif found := summary.match(line):
                passed, failed, ignored = map(int, found.groups())
                self.passed += passed
                self.failed += failed
                ran += passed + failed
                if passed + failed + ignored:
                    self.show(f"{line.strip()} ({what})")

        command = ["cargo", "test", "--no-fail-fast", *arguments]
        self.command(command, env={**self.servers, **(env or {})}, read=read, show=show)
        if ran == 0:
            raise Failed("no test ran: have they been renamed?")

    def clippy(self, *arguments: str) -> None:
        self.cargo("clippy", *arguments, "--locked", "--", "-D", "warnings")

    def cargo(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        return self.command(["cargo", *arguments], env=env)

    def succeeds(self, command: list[str], env: dict[str, str] | None = None, seconds: float = 900) -> bool:
        """Runs a command that may fail."""
        try:
            self.command(command, env=env, seconds=seconds)
        except Failed as failed:
            print(failed, file=self.log, flush=True)
            return False
        return True

    def command(
        self,
        command: list[str],
        env: dict[str, str] | None = None,
        show: str | None = None,
        read: Callable[[str], None] | None = None,
        seconds: float | None = None,
    ) -> str:
        """Runs a command into the log and returns what it wrote to its standard output and error together. Lines that match
        `show` are shown, each line is given to `read`; a command that takes too long is ended with all its children."""
        line = " ".join(command)
        print(f"$ {line}", file=self.log, flush=True)
        deadline = min(self.deadline, time.monotonic() + (seconds or float("inf")))
        try:
            self.child = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise Failed(f"`{command[0]}` does not run: {error}") from None
        said = []
        try:
            for text in self._lines(self.child, deadline, line):
                self.log.write(text)
                said.append(text)
                if read:
                    read(text)
                if show and re.search(show, text):
                    self.show(text.strip())
            code = self.child.wait()
        finally:
            self.end_child()
        self.log.flush()
        if code != 0:
            raise Failed(f"`{line}` ended with {code}")
        return "".join(said)

    def _lines(self, child: subprocess.Popen, deadline: float, line: str) -> Iterable[str]:
        """The output line by line, with a sign of life every minute."""
        lines: queue.Queue[str | None] = queue.Queue()

        def pump() -> None:
            for text in child.stdout or ():
                lines.put(text)
            lines.put(None)

        threading.Thread(target=pump, daemon=True).start()
        started = alive = time.monotonic()
        last = ""
        while True:
            now = time.monotonic()
            if now > deadline:
                raise Failed(f"`{line}` took longer than {now - started:.0f} s and was ended")
            if now - alive >= 60:
                alive = now
                self.show(f"... {now - started:.0f} s: {last.strip()[:100]}")
            try:
                text = lines.get(timeout=1)
            except queue.Empty:
                continue
            if text is None:
                return
            last = text
            yield text

    def end_child(self) -> None:
        """Ends what is left of a command: servers that a killed test left behind are in its session."""
        child, self.child = self.child, None
        if child is None or child.poll() is not None:
            return
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except (AttributeError, OSError):
            child.kill()
        child.wait()

    def expect(self, findings: list[str]) -> None:
        if findings:
            raise Failed("\n".join(findings))

    def show(self, text: str) -> None:
        """A line for the terminal."""
        print(f"      {text}", flush=True)

    def say(self, text: str) -> None:
        """A line for the terminal and the log."""
        self.show(text)
        if self.log is not sys.stderr:
            print(text, file=self.log, flush=True)


def need_rust(run: Run) -> None:
    """Says at once what is missing, instead of fourteen failures."""
    if not shutil.which("cargo"):
        sys.exit("cargo is not on the PATH: install Rust first (see rust-lang.org)")
    for component, program in (("clippy", "cargo-clippy"), ("rustfmt", "cargo-fmt")):
        if not shutil.which(program):
            if not (shutil.which("rustup") and run.succeeds(["rustup", "component", "add", component])):
                sys.exit(f"{program} is not on the PATH: `rustup component add {component}` installs it")


def select(arguments: argparse.Namespace) -> list[Step]:
    steps = [step for step in STEPS if arguments.full or not step.full]
    names = [step.name for step in STEPS]
    asked = [name for name in (arguments.only or "").split(",") if name]
    for name in asked + ([arguments.start] if arguments.start else []):
        if name not in names:
            sys.exit(f"there is no step `{name}`; there are: {', '.join(names)}")
    if asked:
        return [step for step in STEPS if step.name in asked]
    if arguments.start:
        return [step for step in steps if names.index(step.name) >= names.index(arguments.start)]
    return steps


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the tests.")
    parser.add_argument("--full", action="store_true", help="also the long runs")
    parser.add_argument("--list", action="store_true", help="show the steps")
    parser.add_argument("--only", metavar="STEP,...", help="only these steps")
    parser.add_argument("--from", dest="start", metavar="STEP", help="this step and all after it")
    arguments = parser.parse_args()
    if arguments.list:
        for step in STEPS:
            print(f"{step.name:12} {step.what}{' (--full)' if step.full else ''}")
        return 0

    run = Run(arguments.full)
    need_rust(run)
    steps = select(arguments)
    try:
        logs = Path(run.metadata["target_directory"]) / "logs"
    except Failed as failed:
        sys.exit(str(failed))
    logs.mkdir(parents=True, exist_ok=True)
    failures, began = [], time.monotonic()
    for number, step in enumerate(steps, 1):
        print(f"[{number:2}/{len(steps)}] {step.name}: {step.what}", flush=True)
        if not perform(run, step, logs / f"{step.name}.log"):
            failures.append(step.name)
    minutes = (time.monotonic() - began) / 60
    for name in failures:
        # Once more, and short: who sees only the end of the output sees what it is about.
        print(f"\n{name} failed:")
        log = (logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        print(textwrap.indent("\n".join(what_failed(log)), "    "))
    print()
    if failures:
        print(f"{len(failures)} of {len(steps)} steps failed: {', '.join(failures)}; {minutes:.1f} minutes")
    else:
        print(f"all {len(steps)} steps passed; {minutes:.1f} minutes")
    print(f"{run.passed} passed, {run.failed} failed")
    return 1 if failures or run.failed else 0


def perform(run: Run, step: Step, path: Path) -> bool:
    """One step with its own log, which is shown if it fails."""
    started = time.monotonic()
    run.deadline = started + 60 * step.minutes * (8 if run.full else 1)
    with path.open("w", encoding="utf-8") as run.log:
        try:
            step.run(run)
            failure = None
        except Failed as failed:
            failure = str(failed)
            print(failure, file=run.log)
    run.log = sys.stderr
    seconds = time.monotonic() - started
    if failure is None:
        print(f"      ok, {seconds:.0f} s", flush=True)
        return True
    print(path.read_text(encoding="utf-8", errors="replace"))
    print(f"      FAILED: {step.name}, {seconds:.0f} s; log: {os.path.relpath(path)}", flush=True)
    return False


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted")
