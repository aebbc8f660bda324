"""Opens the committed vectors with `cryptography` and `cbor2`, and refuses the damaged ones for their stated reasons:
`vectors.py gateway/seal/tests/vectors/messages.json`. Suites 0x0001, 0x0002 and 0x0011."""
import json, sys
from base64 import urlsafe_b64decode
from hashlib import sha256, shake_256
import cbor2, zstandard
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

class Refused(Exception):
    pass

def coordinate(jwk, name):
    return urlsafe_b64decode(jwk[name] + "=")

class X25519:
    signature, wrap = -19, 49
    hpke = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
    role = staticmethod(X25519PrivateKey.from_private_bytes)

    @staticmethod
    def verify(jwk, signature, message):
        Ed25519PublicKey.from_public_bytes(coordinate(jwk, "x")).verify(signature, message)

class P256:
    signature, wrap = -9, 53
    hpke = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

    @staticmethod
    def role(private):
        return ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())

    @staticmethod
    def verify(jwk, signature, message):
        x, y = (int.from_bytes(coordinate(jwk, name), "big") for name in "xy")
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        public.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))

class XWing(X25519):
    wrap = -91258
    hpke = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

    @staticmethod
    def role(private):  # the 32-byte seed of both parts (draft-connolly-cfrg-xwing-kem)
        seeds = shake_256(private).digest(96)
        parts = mlkem.MLKEM768PrivateKey.from_seed_bytes(seeds[:64]), X25519PrivateKey.from_private_bytes(seeds[64:])
        return MLKEM768X25519PrivateKey(*parts)

def strict(data):  # one deterministic item and nothing behind it
    item = cbor2.loads(data)
    if cbor2.dumps(item, canonical=True) != data:
        raise Refused("form")
    return item

def verified(suite, jwk, message, content):
    try:
        tag = strict(message)
        protected, unprotected, payload, signature = tag.value
    except Refused:
        raise
    except Exception:
        raise Refused("form")
    try:
        suite.verify(jwk, signature, cbor2.dumps(["Signature1", protected, b"", payload]))
    except InvalidSignature:
        raise Refused("signature")
    header = cbor2.loads(protected)
    assert (tag.tag, unprotected, header[1], header[3]) == (18, {}, suite.signature, content)
    assert header[4].hex() == jwk["kid"]
    return protected, cbor2.loads(payload)

def open_key(suite, jwk, role, message):
    protected, inner = verified(suite, jwk, message, 96)
    layer, unprotected, ciphertext, recipients = inner.value
    epoch = sha256(protected).digest()
    recipient = next(r for r in recipients if cbor2.loads(r[0])[4].hex() == role["kid"])
    assert inner.tag == 96 and cbor2.loads(layer) == {1: 3, 3: 101} and cbor2.loads(recipient[0])[1] == suite.wrap
    info = cbor2.dumps(["HPKE Recipient", 3, recipient[0], epoch])
    try:
        secret = suite.hpke.decrypt(recipient[1][-4] + recipient[2], suite.role(bytes.fromhex(role["private"])), info)
        key = cbor2.loads(AESGCM(secret).decrypt(unprotected[5], ciphertext, cbor2.dumps(["Encrypt", layer, epoch])))
    except InvalidTag:
        raise Refused("wrap")
    assert (key[1], key[2], key[3]) == (4, epoch[:8], 3)
    return epoch, key[-1], key[5]

def open_data(suite, jwk, epoch, message):
    epoch_id, key, base_iv = epoch
    _, inner = verified(suite, jwk, message, 16)
    layer, unprotected, ciphertext = inner.value
    piv = unprotected[6]
    if not piv or (piv[0] == 0 and len(piv) > 1):
        raise Refused("form")
    assert inner.tag == 16 and cbor2.loads(layer) == {1: 3} and unprotected[4] == epoch_id[:8]
    nonce = bytes(a ^ b for a, b in zip(base_iv, piv.rjust(12, b"\0")))
    try:
        plain = AESGCM(key).decrypt(nonce, ciphertext, cbor2.dumps(["Encrypt0", layer, epoch_id]))
    except InvalidTag:
        raise Refused("ciphertext")
    length, at, shift = 0, 1, 0
    while True:
        length, at, shift, more = length | (plain[at] & 127) << shift, at + 1, shift + 7, plain[at] & 128
        if not more:
            break
    body = plain[at : at + length]
    assert not any(plain[at + length :]), "padding"
    return zstandard.decompress(body, max_output_size=1 << 24) if plain[0] else body

opened = refused = 0
for vector in json.load(open(sys.argv[1]))["suites"]:
    suite = {1: X25519, 2: P256, 0x11: XWing}[vector["suite"]]
    for role in vector["roles"]:
        epoch = open_key(suite, vector["gateway"], role, bytes.fromhex(vector["key"]))
        assert [part.hex() for part in epoch] == [vector["epoch_id"], vector["content_key"], vector["base_iv"]]
        for data in vector["data"]:
            body = open_data(suite, vector["gateway"], epoch, bytes.fromhex(data["message"]))
            assert body.hex() == data["body"], data["kind"]
            opened += 1
        for case in vector["refused"]:
            message = bytes.fromhex(case["message"])
            try:
                if case["kind"] == "key":
                    open_key(suite, vector["gateway"], role, message)
                else:
                    open_data(suite, vector["gateway"], epoch, message)
            except Refused as reason:
                assert str(reason) == case["reason"], (vector["name"], case["what"], reason)
                refused += 1
            else:
                raise AssertionError(f"{vector['name']}: {case['what']} was taken")
print(f"cryptography and cbor2: {opened} records opened, {refused} damaged messages refused")
