"""Opens what lingate sealed, with nothing of lingate: `open.py DIR` prints the readings. See README.md."""
import json, math, struct, sys
from hashlib import sha256
from itertools import accumulate, count
from pathlib import Path
import cbor2, zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
BOOLEAN, UINT64, FLOAT, DOUBLE, STRING = 1, 9, 10, 11, 12  # OPC UA built-in types
TEXTS, DATA = {STRING, 16, 17, 18, 20}, range(21, 26)  # in UTF-8; those that say themselves what they are
CONTEXTS = {1: "batch", 2: "phase", 3: "lot", 4: "recipe", 5: "state"}
TICKS_1970 = 116_444_736_000_000_000  # 100 ns since 1601

def kid_of(curve, public):  # first 8 bytes of the RFC 9679 thumbprint
    return sha256(cbor2.dumps({1: 1, -1: curve, -2: public.public_bytes_raw()}, canonical=True)).digest()[:8]

def verified(message, gateway, content):  # COSE_Sign1: protected bytes and header, encrypted message
    protected, _, payload, signature = cbor2.loads(message).value
    gateway.verify(signature, cbor2.dumps(["Signature1", protected, b"", payload]))
    header = cbor2.loads(protected)
    assert (header[1], header[3], header[4]) == (-19, content, kid_of(6, gateway)), "another signer or content"
    return protected, header, cbor2.loads(payload).value

def open_key(message, gateway, role):
    protected, header, (inner, unprotected, ciphertext, recipients) = verified(message, gateway, 96)
    epoch = sha256(protected).digest()
    recipient = next(r for r in recipients if cbor2.loads(r[0])[4] == kid_of(4, role.public_key()))
    info = cbor2.dumps(["HPKE Recipient", cbor2.loads(inner)[1], recipient[0], epoch])
    layer = AESGCM(HPKE.decrypt(recipient[1][-4] + recipient[2], role, info))
    key = cbor2.loads(layer.decrypt(unprotected[5], ciphertext, cbor2.dumps(["Encrypt", inner, epoch])))
    assert key[2] == epoch[:8], "the key is of another epoch"
    secret = {"key": AESGCM(key[-1]), "iv": key[5]}
    return {epoch[:8]: {"id": epoch, "claims": header[15], "seqs": count(), "readings": 0, **secret}}

def open_data(message, gateway, epochs):
    _, _, (inner, unprotected, ciphertext) = verified(message, gateway, 16)
    epoch, seq = epochs[unprotected[4]], int.from_bytes(unprotected[6], "big")
    assert seq == next(epoch["seqs"]), f"message {seq} came at another's place"
    nonce = bytes(a ^ b for a, b in zip(epoch["iv"], seq.to_bytes(12, "big")))
    plain = epoch["key"].decrypt(nonce, ciphertext, cbor2.dumps(["Encrypt0", inner, epoch["id"]]))
    length, start = varint(plain, 1)
    body = plain[start : start + length]  # behind it is padding
    return epoch, zstandard.decompress(body, max_output_size=1 << 24) if plain[0] else body

def varint(data, at):
    end = next(end for end in range(at, len(data)) if data[end] < 128) + 1
    return sum((byte & 127) << 7 * n for n, byte in enumerate(data[at:end])), end

def fields(data):  # of a protobuf message: number to values
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        value, at = varint(data, at) if tag & 7 in (0, 2) else ({1: 8, 5: 4}[tag & 7], at)
        if tag & 7:  # what was read is a length
            value, at = data[at : at + value], at + value
        found.setdefault(tag >> 3, []).append(value)
    return found

def packed(message, number, unfold=int):
    data, at = b"".join(message.get(number, [])), 0
    while at < len(data):
        value, at = varint(data, at)
        yield unfold(value)

def signed(value):  # zigzag
    return value >> 1 ^ -(value & 1)

def number(message, field):
    return message.get(field, [0])[0]

def wrapped(value):  # to 64 bits
    return (value + 2**63) % 2**64 - 2**63

def sums(differences):
    return accumulate(differences, lambda sum, difference: wrapped(sum + difference))

def span(run):  # entries of a run
    return range(number(run, 1), number(run, 1) + number(run, 2))

def decode(batch, tags):  # (row, tag, reading) of every reading
    rows = number(batch, 2)
    differences = (number(batch, 3) + deviation for deviation in list(packed(batch, 4, signed)) or [0] * (rows - 1))
    row_times = list(accumulate(differences, initial=signed(number(batch, 1))))
    for column in [*map(fields, batch.get(5, [])), *gathered(batch)]:
        tag = tags[number(column, 1)]
        status = {n: int.from_bytes(run[3][0], "little") for run in map(fields, column.get(5, [])) for n in span(run)}
        values = column_values(column, tag)
        entries = list(accumulate(packed(column, 3)) if 3 in column else range(rows))
        ticks = [wrapped(row_times[row] * 10 + TICKS_1970) for row in entries]
        source = device_times(column, 7, ticks)
        server = device_times(column, 8, [tick if time is None else time for time, tick in zip(source, ticks)])
        backfilled = {n for run in map(fields, column.get(9, [])) for n in span(run)}
        for entry, row in enumerate(entries):
            code = status.get(entry, 0)
            yield row, {
                "backfilled": entry in backfilled, "name": tag[2][0].decode(),
                "server_ticks": server[entry], "source_ticks": source[entry],
                "status": code, "time_us": row_times[row], "value": None if code >> 31 else next(values),
            }

def gathered(batch):  # the columns that the blocks stand for
    for block in map(fields, batch.get(10, [])):
        aliases, behind = list(accumulate(packed(block, 1))), list(packed(block, 5, signed))
        points, planes = len(aliases), block[4][0]  # all lowest bytes, then all next ones
        length = len(behind) // points
        alike = {number: block[field] for number, field in ((3, 2), (10, 3)) if field in block}
        for point, alias in enumerate(aliases):
            first = signed(int.from_bytes(planes[point::points], "little"))
            values = [first, *behind[point * length : (point + 1) * length]]
            yield {1: [alias], "values": values} | alike

def device_times(column, field, bases):  # of every entry, in ticks
    if field not in column:
        return [None] * len(bases)
    times = fields(column[field][0])
    offsets = sums(packed(times, 1, signed))
    have = {n for run in map(fields, times[2]) for n in span(run)} if 2 in times else range(len(bases))
    return [wrapped(base + next(offsets)) if entry in have else None for entry, base in enumerate(bases)]

def column_values(column, tag):
    kind, per_unit = tag[3][0], round(1 / struct.unpack("<d", tag[4][0])[0]) if 4 in tag else 10 ** number(column, 10)
    if number(tag, 19) or kind in DATA:
        yield from map(datum, column.get(6, []))
        return
    for total in sums(column["values"] if "values" in column else packed(column, 2, signed)):
        yield real(total / per_unit, kind) if kind in (FLOAT, DOUBLE) else whole(total, kind)
    yield from (real(value, kind) for (value,) in struct.iter_unpack("<d", b"".join(column.get(4, []))))
    yield from (text(data, kind) for data in column.get(6, []))

def datum(data):  # a value that says itself what it is
    message = fields(data)
    kind, (field, (content,)) = number(message, 1), max(message.items(), default=(0, (None,)))
    match field:
        case 0 | 1: return None
        case 2: return whole(signed(content), kind)
        case 3 | 4: return real(*struct.unpack("<f" if field == 3 else "<d", content), kind)
        case 5: return text(content, kind)
        case 6: return [fields(content)[n][0].decode() if n in fields(content) else None for n in (1, 2)]
        case 7: return array(fields(content), kind)
        case 8: return [string(fields(content), 1), [named(fields(f)) for f in fields(content).get(2, [])]]
        case 9: return [string(fields(content), 1), fields(content).get(2, [b""])[0].hex()]

def array(message, kind):
    items = [whole(total, kind) for total in sums(packed(message, 2, signed))]
    for field, form in ((3, "<f"), (4, "<d")):
        items += [real(value, kind) for (value,) in struct.iter_unpack(form, b"".join(message.get(field, [])))]
    items += [text(data, kind) for data in message.get(5, [])] + [datum(data) for data in message.get(6, [])]
    for length in reversed(list(packed(message, 1))[1:]):  # rows into tables, tables into blocks
        items = [items[n : n + length] for n in range(0, len(items), length or 1)]
    return items

def named(field):
    return [string(field, 1), datum(field.get(2, [b""])[0])]

def string(message, field):
    return message.get(field, [b""])[0].decode()

def whole(value, kind):
    return bool(value) if kind == BOOLEAN else value % 2**64 if kind == UINT64 else value

def text(data, kind):
    return data.decode() if kind in TEXTS else data.hex()

def real(value, kind):  # a double, or the 32-bit float that it stands for
    (value,) = struct.unpack("f", struct.pack("f", value)) if kind == FLOAT else (value,)
    return value if math.isfinite(value) else str(value)

folder, epochs, tags = Path(sys.argv[1]), {}, []
keys = json.loads((folder / "keys.json").read_text())
gateway = Ed25519PublicKey.from_public_bytes(bytes.fromhex(keys["gateway"]))
role = X25519PrivateKey.from_private_bytes(bytes.fromhex(keys["role"]))
for line in map(json.loads, (folder / "messages.jsonl").open()):
    data = bytes.fromhex(line["bytes"])
    if line["kind"] == "key":
        epochs |= open_key(data, gateway, role)
        continue
    epoch, body = open_data(data, gateway, epochs)
    ((kind, (content,)),) = fields(body).items()
    message = fields(content)
    if kind == 1:
        for run in map(fields, message.get(6, [])):  # from a row on, another batch
            told = {"context": CONTEXTS[number(run, 1)], "name": tags[number(run, 4)][2][0].decode(), "start_row": number(run, 2)}
            print(json.dumps(told | {"value": datum(run[3][0]) if 3 in run else None}, ensure_ascii=False, separators=(",", ":")))
        for _, reading in sorted(decode(message, tags), key=lambda reading: reading[0]):
            epoch["readings"] += 1
            print(json.dumps(reading, ensure_ascii=False, separators=(",", ":")))
    elif kind == 2:
        assert sha256(body).digest() == epoch["claims"][-70007], "another catalogue than the claims say"
        tags = [fields(tag) for tag in message[2]]
    elif kind == 3:
        assert sha256(message[2][0]).digest() == epoch["claims"][-70009], "another lineage than the claims say"
    elif kind == 5:
        assert number(message, 2) == epoch["readings"], "the close counts other readings"
