#!/usr/bin/env python3
"""sbom.py TARGET   the crates that lingate links for TARGET, as CycloneDX 1.5 JSON on standard output.

From `cargo metadata`, `cargo tree` and Cargo.lock alone. Crates that only build or test are left out, as are procedural
macros: they run on the builder's machine. The same lock file gives the same bytes. `lingate sbom` prints the same list.
"""
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main(target):
    metadata = json.loads(subprocess.check_output(
        [os.environ.get("CARGO", "cargo"), "metadata", "--format-version=1", "--locked", "--filter-platform", target],
        cwd=ROOT))
    packages = {package["id"]: package for package in metadata["packages"]}
    daemon = next(one for one in metadata["workspace_members"] if packages[one]["name"] == "lingate")
    linked = closure(daemon, {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}, packages, of_tree(target))
    lock = (ROOT / "Cargo.lock").read_bytes()
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in tomllib.loads(lock.decode())["package"]}
    number = hashlib.sha256(lock + target.encode()).digest()[:16]
    json.dump({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=number, version=4)}",
        "version": 1,
        "metadata": {
            "component": component(packages[daemon], checksums, "application"),
            "properties": [{"name": "cargo:target", "value": target}],
        },
        "components": [component(packages[one], checksums) for one in order(linked, packages) if one != daemon],
        "dependencies": [{"ref": purl(packages[one]), "dependsOn": sorted(purl(packages[other]) for other in linked[one])}
                         for one in order(linked, packages)],
    }, sys.stdout, indent=1, sort_keys=True)
    print()


def of_tree(target):
    """Names with versions. `cargo metadata` knows the features of all members together, and the program has only its own."""
    text = subprocess.check_output(
        [os.environ.get("CARGO", "cargo"), "tree", "--locked", "--package", "lingate", "--edges", "normal,no-proc-macro",
         "--target", target, "--prefix", "none", "--format", "{p}"], cwd=ROOT, text=True)
    return {tuple(line.split()[:2]) for line in text.splitlines()}


def closure(start, graph, packages, tree):
    """What is linked, each with what it links itself."""
    linked, waiting = {}, [start]
    while waiting:
        one = waiting.pop()
        if one not in linked:
            linked[one] = {edge["pkg"] for edge in graph[one] if is_linked(edge, packages, tree)}
            waiting.extend(linked[one])
    return linked


def is_linked(edge, packages, tree):
    normal = any(kind["kind"] is None for kind in edge["dep_kinds"])
    package = packages[edge["pkg"]]
    in_tree = (package["name"], f"v{package['version']}") in tree
    return normal and in_tree and not any("proc-macro" in target["kind"] for target in package["targets"])


def order(linked, packages):
    return sorted(linked, key=lambda one: (packages[one]["name"], packages[one]["version"]))


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums, kind="library"):
    found = {"type": kind, "bom-ref": purl(package), "purl": purl(package), "name": package["name"], "version": package["version"]}
    if package.get("license"):
        found["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return found


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(sys.argv[1])
