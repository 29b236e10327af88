"""Tests of the checks themselves: each finds what it is for, and lets pass what is right."""

import tempfile
import unittest
from pathlib import Path

import archive
import checks
import tools
from failures import what_failed


def package(name, rust=None, publish=None, license=checks.LICENSE):
    return {"id": name, "name": name, "version": "1.0.0", "rust_version": rust, "publish": publish, "license": license}


def metadata(packages, edges):
    """`edges`: from, to, kind."""
    nodes = [
        {"id": p["id"], "deps": [{"pkg": to, "dep_kinds": [{"kind": kind}]} for (of, to, kind) in edges if of == p["id"]]}
        for p in packages
    ]
    return {"packages": packages, "workspace_members": ["lib", "tests"], "resolve": {"nodes": nodes}}


class MinimumRust(unittest.TestCase):
    def find(self, rust, kind, of="lib"):
        packages = [package("lib", "1.89"), package("tests", "1.89", publish=[]), package("dep", rust)]
        return checks.minimum_rust(metadata(packages, [(of, "dep", kind)]))

    def test_a_newer_dependency_is_found(self):
        self.assertEqual(self.find("1.90", None), ["dep 1.0.0 asks for Rust 1.90.0; lib, which needs it, promises 1.89.0"])
        self.assertEqual(len(self.find("1.89.1", "build")), 1)

    def test_each_library_is_held_to_its_own_promise(self):
        packages = [package("lib", "1.89"), package("tests", "1.95"), package("dep", "1.95")]
        self.assertEqual(checks.minimum_rust(metadata(packages, [("tests", "dep", None)])), [])
        self.assertEqual(len(checks.minimum_rust(metadata(packages, [("lib", "dep", None), ("tests", "dep", None)]))), 1)

    def test_what_libraries_do_not_ship_may_be_newer(self):
        self.assertEqual(self.find("1.90", "dev"), [])
        self.assertEqual(self.find("1.90", None, of="tests"), [])

    def test_older_or_silent_is_fine(self):
        self.assertEqual(self.find("1.89", None), [])
        self.assertEqual(self.find("1.89.0", None), [])
        self.assertEqual(self.find(None, None), [])
        self.assertEqual(self.find("1.9", None), [], "a number, not a text")


class CoreWithoutNetwork(unittest.TestCase):
    def test_clients_and_the_network_feature_are_found(self):
        tree = "store-core v0.1.0|\ntokio v1.47.0|rt,time\nbytes v1.0.0|default,std\n"
        self.assertEqual(checks.core_without_network(tree), [])
        self.assertEqual(len(checks.core_without_network(tree + "tokio v1.47.0|net,rt\n")), 1)
        self.assertEqual(len(checks.core_without_network(tree + "async-nats v0.50.0|\nmio v1.0.0|\n")), 2)


class WhatFailed(unittest.TestCase):
    def test_cases_panics_and_compilers_are_found_with_their_reasons(self):
        log = (
            "test a ... ok\nFAILED watch/hot: a key that never rests\n    left: 1\n    right: 2\ntest b ... FAILED\n"
            "thread 'b' (12) panicked at src/b.rs:1:2:\nnot so\nstack backtrace:\n   0: noise\n\n"
            "error[E0308]: mismatched types\n  --> src/c.rs\ntest c ... ok\n"
            "error: test failed, to rerun pass `-p c`\nerror: 1 target failed:\n    `-p c`\n"
        )
        self.assertEqual(
            what_failed(log),
            [
                "FAILED watch/hot: a key that never rests",
                "    left: 1",
                "    right: 2",
                "thread 'b' (12) panicked at src/b.rs:1:2:",
                "not so",
                "error[E0308]: mismatched types",
                "  --> src/c.rs",
            ],
        )

    def test_what_is_not_understood_shows_the_end_and_much_is_cut(self):
        self.assertEqual(what_failed("one\ntwo\n"), ["one", "two"])
        log = "thread 'a' panicked at a.rs:1:2:\n" + "".join(f"line {number}\n" for number in range(40)) + "the reason\n\n"
        found = what_failed(log)
        self.assertEqual((len(found), found[1], found[-1]), (14, "line 0", "the reason"))
        found = what_failed("".join(f"FAILED a/{number}: it\n" for number in range(100)))
        self.assertEqual((len(found), found[-1]), (41, "... and 60 lines more"))


class Files(unittest.TestCase):
    def find(self, name, text):
        with tempfile.TemporaryDirectory() as directory:
            root = Path(directory)
            (root / "Cargo.lock").write_text("")
            path = root / name
            path.write_text(text)
            return checks.files(root, [path])

    def test_machine_paths_are_found(self):
        for path in ["/" + "root/x", '"/' + 'root"', "see /" + "home/ada/x", '"/' + 'Users/ada"']:
            self.assertEqual(len(self.find("a.md", path)), 1, path)
        for path in ["/home", "GET /users/1", "a/" + "root/b", "~/" + "root/b", "/" + "rooted"]:
            self.assertEqual(self.find("a.md", path), [], path)

    def test_registry_hosts_are_found_but_for_the_lock_files_source(self):
        host = "crates" + ".io"
        self.assertEqual(len(self.find("a.md", f"see https://{host}/x")), 1)
        source = f'source = "registry+https://github.com/rust-lang/{host}-index"'
        self.assertEqual(self.find("Cargo.lock", source), [])
        self.assertEqual(len(self.find("Cargo.lock", f"# {source}")), 1)
        self.assertEqual(len(self.find("a.toml", source)), 1)

    def test_big_files_are_found(self):
        self.assertEqual(self.find("a", "x" * checks.MAX_FILE_BYTES), [])
        self.assertEqual(len(self.find("a", "x" * (checks.MAX_FILE_BYTES + 1))), 1)

    def test_a_missing_lock_file_is_found(self):
        with tempfile.TemporaryDirectory() as directory:
            self.assertEqual(checks.files(Path(directory), []), ["Cargo.lock is missing"])


class Licences(unittest.TestCase):
    def test_another_licence_and_missing_texts_are_found(self):
        packages = [package("lib", license=None), package("tests"), package("dep", license="MIT")]
        with tempfile.TemporaryDirectory() as directory:
            found = checks.licences(metadata(packages, []), Path(directory))
        self.assertEqual(len(found), 3, found)


class Versions(unittest.TestCase):
    def test_versions_are_read_from_what_programs_say(self):
        self.assertEqual(tools.parse_version("nats-server: v2.15.1"), (2, 15, 1))
        self.assertEqual(tools.parse_version("Redis server v=7.0.15 sha=00000000:0 bits=64"), (7, 0, 15))
        self.assertEqual(tools.parse_version("cargo-deny 0.20.2"), (0, 20, 2))
        self.assertEqual(tools.parse_version("no number"), ())

    def test_a_program_that_is_not_there_has_no_version(self):
        self.assertEqual(tools.version_of(Path("no-such-program")), ())
        self.assertIsNone(tools.on_path(["no-such-program"], (1,)))


class Archive(unittest.TestCase):
    def test_each_manifest_gets_the_place_of_the_archive(self):
        manifests = sorted((archive.ROOT / "provider" / "manifests").glob("*.yaml"))
        self.assertEqual([path.stem for path in manifests], ["memory", "nats", "redis"])
        for path in manifests:
            text = archive.manifest(path.read_text(encoding="utf-8"), Path("/srv/keyvalue.par.gz"))
            self.assertIn("image: file:///srv/keyvalue.par.gz", text)
            self.assertNotIn(archive.PLACE, text)
        with self.assertRaises(ValueError):
            archive.manifest("image: other", Path("/srv/keyvalue.par.gz"))

    def test_the_binary_is_found_in_what_cargo_says(self):
        other = '{"executable": "/t/other", "target": {"name": "other"}}'
        lib = '{"executable": null, "target": {"name": "provider"}}'
        program = '{"executable": "/t/provider", "target": {"name": "provider"}}'
        messages = "\n".join([other, lib, program, '{"reason": "build-finished"}'])
        self.assertEqual(archive.executable(messages), Path("/t/provider"))
        with self.assertRaises(ValueError):
            archive.executable("\n".join([other, lib]))


if __name__ == "__main__":
    unittest.main()
