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
BOOLEAN, UINT64, FLOAT, DOUBLE, STRING, OPAQUE = 1, 9, 10, 11, 12, 22  # OPC UA built-in types

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

def decode(batch, tags):  # (row, tag, time, status, value) of every reading
    rows = number(batch, 2)
    differences = (number(batch, 3) + deviation for deviation in list(packed(batch, 4, signed)) or [0] * (rows - 1))
    times = list(accumulate(differences, initial=signed(number(batch, 1))))
    for column in map(fields, batch.get(5, [])):
        tag, runs = tags[number(column, 1)], map(fields, column.get(5, []))
        status = {number(run, 1) + n: int.from_bytes(run[3][0], "little") for run in runs for n in range(run[2][0])}
        values = column_values(column, tag[3][0], struct.unpack("<d", tag[4][0])[0] if 4 in tag else 0)
        for entry, row in enumerate(accumulate(packed(column, 3)) if 3 in column else range(rows)):
            code = status.get(entry, 0)
            yield row, tag, times[row], code, None if code >> 31 else next(values)

def column_values(column, kind, scale):
    total, convert = 0, {BOOLEAN: bool, UINT64: lambda n: n % 2**64}.get(kind, int)
    for delta in packed(column, 2, signed):
        total = (total + delta + 2**63) % 2**64 - 2**63
        yield real(total / round(1 / scale), kind) if kind in (FLOAT, DOUBLE) else convert(total)
    yield from (real(value, kind) for (value,) in struct.iter_unpack("<d", b"".join(column.get(4, []))))
    for text in column.get(6, []):
        end = int.from_bytes(text[:2], "big") + 2
        yield {STRING: text.decode, OPAQUE: lambda: [text[2:end].decode(), text[end:].hex()]}.get(kind, text.hex)()

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
        for _, tag, time, status, value in sorted(decode(message, tags), key=lambda reading: reading[0]):
            epoch["readings"] += 1
            reading = {"name": tag[2][0].decode(), "status": status, "time_us": time, "value": value}
            print(json.dumps(reading, ensure_ascii=False, separators=(",", ":")))
    elif kind == 2:
        assert sha256(body).digest() == epoch["claims"][-70007], "another catalogue than the claims say"
        tags = [fields(tag) for tag in message[2]]
    elif kind == 3:
        assert sha256(message[2][0]).digest() == epoch["claims"][-70009], "another lineage than the claims say"
    elif kind == 5:
        assert number(message, 2) == epoch["readings"], "the close counts other readings"
