"""Verifies an audit log of lingate offline, with nothing but `cryptography`: docs/wire.md, section 12.

    verify_audit.py [--key NAME+HASH+KEY]... [--checkpoint FILE]... LOG.jsonl...     (files oldest first)
"""
import argparse, base64, hashlib, json, sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

sha = lambda data: hashlib.sha256(data).digest()
node = lambda left, right: sha(b"\1" + left + right)


def root(frontier):  # of the full subtrees, largest first (RFC 9162, 2.1.1)
    right = frontier[-1] if frontier else sha(b"")
    for left in reversed(frontier[:-1]):
        right = node(left, right)
    return right


def verify(files, notes, keys):
    wrong, roots, frontier, size, prev, holes, declared = [], {}, [], 0, bytes(32), [], []
    for name, data in files:
        *lines, rest = data.split(b"\n")
        if rest:
            wrong.append(f"{name}: {len(rest)} bytes behind the last line end")
        for number, raw in enumerate(lines, 1):
            place = f"{name}, line {number}"
            try:
                line = json.loads(raw)
                n, named, event = line["n"], bytes.fromhex(line["prev"]), line["ev"]
            except (ValueError, KeyError, TypeError):
                line, n, named, event = {}, size, prev, "?"
                wrong.append(f"{place}: not a line of an audit log")
            if (number == 1) != (event == "audit.file"):
                wrong.append(f"{place}: audit.file stands where a file begins, and nowhere else")
            if number == 1 and event == "audit.file":
                before = [bytes.fromhex(h) for h in line["frontier"]]
                if root(before).hex() != line["root"] or len(before) != n.bit_count():
                    wrong.append(f"{place}: root and frontier contradict each other")
                if n > size:  # what came before is not here: some line has to say so
                    holes.append((size, n, place))
                    size, frontier, prev = n, before, named
                    roots[size] = root(frontier)
                elif before != frontier:
                    wrong.append(f"{place}: the lines before were changed")
            if n != size:
                wrong.append(f"{place}: number {n} where {size} is expected: deleted, reordered or doubled")
            if named != prev:
                wrong.append(f"{place}: the line before it was changed")
            if event in ("audit.pruned", "audit.gap"):
                declared.append((line.get("from", 0), line.get("upto", 0)))
            prev, leaf, twos = sha(raw), sha(b"\0" + raw), size
            while twos & 1:
                leaf, twos = node(frontier.pop(), leaf), twos >> 1
            frontier.append(leaf)
            size += 1
            roots[size] = root(frontier)
    wrong += [f"{place}: lines {a} to {b - 1} are missing" for a, b, place in holes
              if not any(first <= a and b <= end for first, end in declared)]
    for name, text in notes:
        wrong += [f"{name}: {what}" for what in checkpoint(text, keys, roots, size)]
    return size, root(frontier).hex(), wrong


def checkpoint(note, keys, roots, have):
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    origin, size, expected = text.split("\n")[:3]
    signed = False
    for signature in signatures.splitlines():
        name, blob = signature.removeprefix("— ").split(" ")
        blob = base64.b64decode(blob)
        for key_name, kind, public in keys:
            if key_name != name or sha(f"{name}\n".encode() + bytes([kind]) + public)[:4] != blob[:4]:
                continue
            time, message = int.from_bytes(blob[4:12], "big"), text
            if kind == 4:
                message = f"cosignature/v1\ntime {time}\n{text}"
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(blob[-64:], message.encode())
            except InvalidSignature:
                yield f"the signature of {name} is wrong"
            signed = signed or kind == 1
    if any(kind == 1 for _, kind, _ in keys) and not signed:
        yield "the log's own signature is missing"
    if int(size) > have:
        yield f"the log had {size} lines and has {have}: the last ones were cut off"
    elif int(size) in roots and roots[int(size)] != base64.b64decode(expected):
        yield f"another root over the first {size} lines: they were changed, or the log was forked"


def key(text):
    name, _, blob = text.strip().split("+", 2)
    blob = base64.b64decode(blob)
    return name, blob[0], blob[1:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--key", action="append", default=[])
    parser.add_argument("--checkpoint", action="append", default=[])
    parser.add_argument("files", nargs="+")
    given = parser.parse_args()
    notes = [(path, open(path, encoding="utf-8", newline="").read()) for path in given.checkpoint]
    size, digest, wrong = verify([(path, open(path, "rb").read()) for path in given.files], notes, [key(k) for k in given.key])
    print("\n".join(wrong) or f"OK: {size} lines, root {digest}")
    sys.exit(65 if wrong else 0)
