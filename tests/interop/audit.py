"""Two verifiers and pymerkle over the same audit log, as it is and changed in every way: audit.py LINGATE HISTORIES"""
import hashlib, json, pathlib, subprocess, sys, tempfile

import pymerkle

LINGATE, HISTORIES = sys.argv[1], pathlib.Path(sys.argv[2])
SCRIPT = pathlib.Path(__file__).with_name("verify_audit.py")


def lines(folder):
    return [path.read_bytes().splitlines(keepends=True) for path in sorted(folder.glob("*.jsonl"))]


def verdicts(files, checkpoint, keys, with_checkpoint=True):
    with tempfile.TemporaryDirectory() as home:
        paths = []
        for number, content in enumerate(files, 1):
            path = pathlib.Path(home, f"{number:08}.jsonl")
            path.write_bytes(b"".join(content))
            paths.append(str(path))
        anchor = ["--checkpoint", checkpoint] if with_checkpoint else []
        rust = [LINGATE, "audit", "verify", *anchor, "--key", keys, *paths]
        python = [sys.executable, SCRIPT, *anchor]
        python += [word for key in pathlib.Path(keys).read_text().split() for word in ("--key", key)] + paths
        return [subprocess.run(command, capture_output=True, text=True) for command in (rust, python)]


def changed(files, change):
    files = [list(content) for content in files]
    change(files)
    return files


def edit(files, file, line):
    files[file][line] = files[file][line].replace(b"source.up", b"source.no")


def follow(files, **members):
    """A line more, with the right number and the right chain: whoever can write the files can write it."""
    last, n = files[-1][-1].removesuffix(b"\n"), sum(len(content) for content in files)
    line = {"v": 1, "n": n, "t": "2027-01-05T08:00:00.000Z", "prev": hashlib.sha256(last).hexdigest(), **members}
    files[-1].append(json.dumps(line, separators=(",", ":")).encode() + b"\n")


def excuse(files):
    follow(files, ev="audit.pruned", cause="retention", file=1, upto=len(files[0]))
    files.pop(0)


log, fork = lines(HISTORIES / "log"), lines(HISTORIES / "fork")
checkpoint, keys = str(HISTORIES / "log" / "checkpoint"), str(HISTORIES / "log" / "keys.txt")
cases = {
    "an edited line": lambda f: edit(f, 0, 7),
    "an edited last line of a file": lambda f: edit(f, 0, -1),
    "an edited last line": lambda f: edit(f, 1, -1),
    "a deleted line": lambda f: f[0].pop(9),
    "a deleted first line": lambda f: f[1].pop(0),
    "a deleted file": lambda f: f.pop(0),
    "reordered lines": lambda f: f[0].insert(3, f[0].pop(4)),
    "reordered files": lambda f: f.reverse(),
    "a doubled line": lambda f: f[1].insert(3, f[1][3]),
    "a truncated log": lambda f: f[1].__delitem__(slice(-5, None)),
    "a truncated log, a whole file": lambda f: f.pop(),
    "a torn line": lambda f: f[1].append(b'{"v":1,'),
    "a forked history": lambda f: f.__setitem__(slice(None), fork),
}

for verdict in verdicts(log, checkpoint, keys):
    assert verdict.returncode == 0 and "OK" in verdict.stdout, verdict
for name, change in cases.items():
    rust, python = verdicts(changed(log, change), checkpoint, keys)
    assert rust.returncode == 65, f"{name}: not caught by lingate audit verify\n{rust.stdout}{rust.stderr}"
    assert python.returncode == 65, f"{name}: not caught by verify_audit.py\n{python.stdout}{python.stderr}"
    wrong = next(line for line in rust.stdout.splitlines() if line.startswith("WRONG"))
    print(f"{name:32} caught by both: {wrong.removeprefix('WRONG').strip()}")

unproven = {
    "no checkpoint": (lambda f: None, False),
    "a line behind the checkpoint": (lambda f: follow(f, ev="stop"), True),
    "a deleted file and an excuse behind": (excuse, True),
}
for name, (change, with_checkpoint) in unproven.items():
    for verdict in verdicts(changed(log, change), checkpoint, keys, with_checkpoint):
        assert verdict.returncode == 69 and "UNPROVEN" in verdict.stdout, f"{name}: {verdict}"
    print(f"{name:36} called unproven by both")

with tempfile.TemporaryDirectory() as home:
    note = pathlib.Path(home, "checkpoint")
    note.write_text(pathlib.Path(checkpoint).read_text(encoding="utf-8").replace("\n82\n", "\n81\n"), encoding="utf-8")
    for verdict in verdicts(log, str(note), keys):
        assert verdict.returncode == 65, f"a forged checkpoint is not caught: {verdict}"

tree = pymerkle.InmemoryTree(algorithm="sha256")
for line in (line for content in log for line in content):
    tree.append_entry(line.removesuffix(b"\n"))
root = tree.get_root().hex()
told = {word for verdict in verdicts(log, checkpoint, keys) for word in verdict.stdout.split() if len(word) == 64}
assert told == {root}, f"pymerkle computes {root}, the verifiers {told}"
print(f"{len(cases)} changes and a forged checkpoint caught by both; pymerkle computes the same root over {tree.get_size()} lines")
