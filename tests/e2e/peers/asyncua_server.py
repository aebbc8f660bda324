"""An OPC UA server on asyncua, with the variables that README.md of this folder lists.

Takes one argument: a JSON file with `certificate` and `key` (paths), `uri`, `user`, `password`, `user_certificate`
(path), `items` and `interval_ms` of the load, `counts` (a path that it keeps writing how many rounds it wrote into) and,
optionally, `port`. Prints "listening PORT" and serves until it is killed.
"""
import asyncio
import datetime
import json
import logging
import os
import socket
import sys
import uuid

from asyncua import Server, ua
from asyncua.server.user_managers import UserManager
from asyncua.crypto.permission_rules import User, UserRole


class Users(UserManager):
    def __init__(self, settings):
        self.settings = settings
        with open(settings["user_certificate"], "rb") as file:
            self.certificate = file.read()

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username is not None:
            is_known = username == self.settings["user"] and password == self.settings["password"]
            return User(role=UserRole.User) if is_known else None
        # asyncua hands over the application's certificate here, or the user's where it logs in with one.
        return User(role=UserRole.User)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def values(ns):
    """Name, value, type; the third decides how it is encoded."""
    T = ua.VariantType
    when = datetime.datetime(2026, 3, 29, 1, 30, 15, 123000, tzinfo=datetime.timezone.utc)
    guid = uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63")
    return [
        ("boolean", True, T.Boolean),
        ("sbyte", -128, T.SByte),
        ("byte", 255, T.Byte),
        ("int16", -32768, T.Int16),
        ("uint16", 65535, T.UInt16),
        ("int32", -2147483648, T.Int32),
        ("uint32", 4294967295, T.UInt32),
        ("int64", -9223372036854775808, T.Int64),
        ("uint64", 18446744073709551615, T.UInt64),
        ("float", 3.25, T.Float),
        ("double", 2.718281828459045, T.Double),
        ("string", "Düse 7 \u2192 \"ok\"", T.String),
        ("datetime", when, T.DateTime),
        ("guid", guid, T.Guid),
        ("bytestring", bytes([0, 1, 254, 255]), T.ByteString),
        ("xmlelement", ua.XmlElement("<a b=\"1\">x</a>"), T.XmlElement),
        ("nodeid", ua.NodeId("Zone/1", ns), T.NodeId),
        ("expandednodeid", ua.ExpandedNodeId(77, 0, ua.NodeIdType.Numeric, "urn:elsewhere"), T.ExpandedNodeId),
        ("statuscode", ua.StatusCode(0x80340000), T.StatusCode),
        ("qualifiedname", ua.QualifiedName("Zone", ns), T.QualifiedName),
        ("localizedtext", ua.LocalizedText("Düse", "de-DE"), T.LocalizedText),
        ("array_double", [0.1, -2.5, 1e300], T.Double),
        ("array_string", ["a", "", "ß"], T.String),
        ("matrix_int32", [[1, 2, 3], [4, 5, 6]], T.Int32),
        ("cube_uint16", [[[1, 2], [3, 4]], [[5, 6], [7, 8]]], T.UInt16),
    ]


async def add_types(server, ns, folder):
    for name, value, kind in values(ns):
        try:
            await folder.add_variable(ua.NodeId(name, ns), ua.QualifiedName(name, ns), ua.Variant(value, kind))
        except Exception as error:  # one type less is better than no server; the test says which it misses
            print(f"no {name}: {error!r}", file=sys.stderr, flush=True)


async def load(server, ns, folder, settings):
    """All items change together: item i has i * 2^32 + round."""
    nodes = []
    for number in range(settings["items"]):
        name = f"load_{number:05}"
        variable = await folder.add_variable(
            ua.NodeId(name, ns), ua.QualifiedName(name, ns), ua.Variant(number << 32, ua.VariantType.UInt64)
        )
        nodes.append((variable.nodeid, number << 32))
    write = server.iserver.aspace.write_attribute_value
    interval = settings["interval_ms"] / 1000
    due = asyncio.get_running_loop().time()
    round_ = 0
    while True:
        round_ += 1
        now = datetime.datetime.now(datetime.timezone.utc)
        for nodeid, base in nodes:
            value = ua.DataValue(
                ua.Variant(base + round_, ua.VariantType.UInt64), SourceTimestamp=now, ServerTimestamp=now
            )
            await write(nodeid, ua.AttributeIds.Value, value)
        with open(settings["counts"] + ".new", "w") as file:
            json.dump({"rounds": round_}, file)
        os.replace(settings["counts"] + ".new", settings["counts"])
        due += interval
        await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))


async def main():
    logging.disable(logging.CRITICAL)
    with open(sys.argv[1]) as file:
        settings = json.load(file)
    port = settings.get("port") or free_port()
    server = Server(user_manager=Users(settings))
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_server_name("asyncua peer")
    await server.set_application_uri(settings["uri"])
    server.set_security_policy(
        [
            ua.SecurityPolicyType.NoSecurity,
            ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
            ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
            ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
        ]
    )
    server.set_identity_tokens([ua.AnonymousIdentityToken, ua.UserNameIdentityToken, ua.X509IdentityToken])
    await server.load_certificate(settings["certificate"])
    await server.load_private_key(settings["key"])
    ns = await server.register_namespace(settings["uri"])
    folder = await server.nodes.objects.add_folder(ua.NodeId("Peer", ns), ua.QualifiedName("Peer", ns))
    await add_types(server, ns, folder)
    async with server:
        print("listening", port, flush=True)
        await load(server, ns, folder, settings)


asyncio.run(main())
