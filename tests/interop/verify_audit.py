"""Verifies an audit log of lingate offline, with nothing but `cryptography`: docs/wire.md, section 12.
    verify_audit.py [--key NAME+HASH+KEY]... [--checkpoint FILE]... LOG.jsonl...     (files oldest first)
Exit code 0: every line is as it was signed. 65: something is wrong. 69: nothing is wrong, and not everything is proven."""
import argparse, base64, hashlib, json, sys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

wrong = []
sha = lambda data: hashlib.sha256(data).digest()
node = lambda left, right: sha(b"\1" + left + right)
root = lambda subtrees: node(subtrees[0], root(subtrees[1:])) if subtrees[1:] else subtrees[0] if subtrees else sha(b"")
check = lambda holds, place, words: holds or wrong.append(f"{place}: {words}")

def read(files):  # frontier: the full subtrees, largest first (RFC 9162, 2.1.1)
    size, prev, frontier, roots, holes, declared = 0, bytes(32), [], {}, [], []
    for name, data in files:
        *lines, rest = data.split(b"\n")
        check(not rest, name, f"{len(rest)} bytes behind the last line end")
        for place, raw in ((f"{name}, line {number}", raw) for number, raw in enumerate(lines, 1)):
            try:
                line, before = json.loads(raw), None
                n, named, event = line["n"] + 0, bytes.fromhex(line["prev"]), line["ev"]
                if event == "audit.file":
                    before = [bytes.fromhex(digest) for digest in line["frontier"]]
                    check(root(before).hex() == line["root"] and len(before) == n.bit_count(), place, "root and frontier differ")
            except (ValueError, KeyError, TypeError, AttributeError):
                n, named, event, before = size, prev, "?", None
                check(False, place, "not a line of an audit log")
            is_first = place.endswith(", line 1")
            check(is_first == (before is not None), place, "audit.file stands where a file begins, and nowhere else")
            if is_first and before is not None and n > size:  # what came before is not here: some line has to say so
                holes.append((size, n))
                size, prev, frontier, roots[n] = n, named, list(before), root(before)
            check(before in (None, frontier), place, "the lines before it were changed")
            check(n == size, place, f"number {n} where {size} is expected: deleted, reordered or doubled")
            check(named == prev, place, "the line before it was changed")
            declared += [(line.get("from", 0), line.get("upto", 0), n)] if event in ("audit.pruned", "audit.gap") else []
            prev, leaf, twos, size = sha(raw), sha(b"\0" + raw), size, size + 1
            while twos & 1:
                leaf, twos = node(frontier.pop(), leaf), twos >> 1
            frontier.append(leaf)
            roots[size] = root(frontier)
    return size, roots, {hole: [n for a, b, n in declared if a <= hole[0] and hole[1] <= b] for hole in holes}

def proven(path, keys, size, roots):  # how many lines the given keys vouch for; a key begins with its kind
    text, _, signatures = open(path, encoding="utf-8", newline="").read().rpartition("\n\n")
    lines, expected, good = int(text.split("\n")[1]), base64.b64decode(text.split("\n")[2]), set()
    for signer, blob in (line.removeprefix("— ").split(" ") for line in signatures.splitlines()):
        for key, blob in ((key, base64.b64decode(blob)) for name, key in keys if name == signer):
            if blob[:4] == sha(signer.encode() + b"\n" + key)[:4]:
                time = f"cosignature/v1\ntime {int.from_bytes(blob[4:-64], 'big')}\n" if key[0] == 4 else ""
                try:
                    Ed25519PublicKey.from_public_bytes(key[1:]).verify(blob[-64:], f"{time}{text}\n".encode())
                    good.add(key[0])
                except InvalidSignature:
                    check(False, path, f"the signature of {signer} is wrong")
    check(1 in good or all(key[0] != 1 for _, key in keys), path, "the signature of the log's own key is missing")
    check(lines <= size, path, f"the log had {lines} lines and has {size}: the last ones were cut off")
    check(roots.get(lines, expected) == expected, path, f"another root over {lines} lines: they were changed, or the log was forked")
    return lines if good and lines in roots else 0

parser = argparse.ArgumentParser()
parser.add_argument("files", nargs="+")
[parser.add_argument(option, action="append", default=[]) for option in ("--key", "--checkpoint")]
given = parser.parse_args()
keys = [(key.split("+", 2)[0], base64.b64decode(key.split("+", 2)[2])) for key in given.key]
size, roots, holes = read([(path, open(path, "rb").read()) for path in given.files])
covered = max([proven(path, keys, size, roots) for path in given.checkpoint], default=0)
for (first, end), lines in holes.items():
    check(lines, "the log", f"lines {first} to {end - 1} are missing, and no line declares it")
is_proven = covered == size and all(min(lines, default=0) < covered for lines in holes.values())
unproven = f"UNPROVEN: no given key vouches for lines {covered} to {size - 1}, or for lines that are missing"
print("\n".join(wrong) or (f"OK: {size} lines, root {roots[size].hex()}" if is_proven else unproven))
sys.exit(65 if wrong else 0 if is_proven else 69)
