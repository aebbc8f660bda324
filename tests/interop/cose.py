"""Opens the committed vectors with COSE libraries as they come: KEY with python-cwt (signature, HPKE, content layer), DATA
with python-cwt (signature; pycose does not know Ed25519's and ESP256's newer numbers) and pycose (Base IV, Partial IV,
decryption, from the COSE_Key that KEY carries). `cose.py gateway/seal/tests/vectors/messages.json`. Suites 0x0001, 0x0002."""
import json, sys
from base64 import urlsafe_b64decode
from cwt import COSE, COSEKey
from pycose.keys import CoseKey
from pycose.messages import CoseMessage
import zstandard

SIGNATURE, WRAP = {1: -19, 2: -9}, {1: 49, 2: 53}  # COSE numbers by suite

def gateway_key(suite, jwk):
    x, y = (urlsafe_b64decode(jwk.get(name, "") + "=") for name in "xy")
    form = {1: 1, -1: 6, -2: x} if suite == 1 else {1: 2, -1: 1, -2: x, -3: y}
    return COSEKey.new({**form, 2: bytes.fromhex(jwk["kid"]), 3: SIGNATURE[suite], 4: [2]})

def role_key(suite, role):
    private, public = bytes.fromhex(role["private"]), bytes.fromhex(role["public"])
    form = {1: 1, -1: 4, -2: public} if suite == 1 else {1: 2, -1: 1, -2: public[1:33], -3: public[33:]}
    return COSEKey.new({**form, -4: private, 2: bytes.fromhex(role["kid"]), 3: WRAP[suite]})

def body(plain):
    length, at = 0, 1
    while True:
        length, at = length | (plain[at] & 127) << 7 * (at - 1), at + 1
        if plain[at - 1] < 128:
            break
    content = plain[at : at + length]
    return zstandard.decompress(content, max_output_size=1 << 24) if plain[0] else content

def is_taken(open_message, message):
    try:
        open_message(message)
    except Exception:
        return False
    return True

keys = records = refused = 0
for vector in json.load(open(sys.argv[1]))["suites"]:
    suite = vector["suite"]
    if suite not in SIGNATURE:
        print(f"skipped: suite {vector['name']}")
        continue
    gateway, epoch = gateway_key(suite, vector["gateway"]), bytes.fromhex(vector["epoch_id"])
    for role in vector["roles"]:
        def open_key(message):
            inner = COSE.new().decode(message, gateway)
            return COSE.new().decode(inner, role_key(suite, role), external_aad=epoch, extra_info=epoch)

        cose_key = open_key(bytes.fromhex(vector["key"]))
        assert vector["content_key"] in cose_key.hex() and vector["base_iv"] in cose_key.hex()
        keys += 1

        def open_data(message):
            inner = CoseMessage.decode(COSE.new().decode(message, gateway))
            inner.key, inner.external_aad = CoseKey.decode(cose_key), epoch
            return body(inner.decrypt())

        for record in vector["data"]:
            assert open_data(bytes.fromhex(record["message"])).hex() == record["body"], record["kind"]
            records += 1
        for case in vector["refused"]:
            if case["reason"] == "form":
                continue  # these libraries are more lenient about encodings than the specification
            open_message = open_key if case["kind"] == "key" else open_data
            assert not is_taken(open_message, bytes.fromhex(case["message"])), case["what"]
            refused += 1
assert keys and records and refused
print(f"python-cwt and pycose: {keys} KEYs and {records} records opened, {refused} damaged messages refused")
