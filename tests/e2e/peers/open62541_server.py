"""An OPC UA server on open62541, by its Python binding o6, with the variables that README.md of this folder lists.

Takes the same JSON file as asyncua_server.py; without a licence o6 ends after ten minutes. Prints "listening PORT" and
serves until it is killed.
"""
import asyncio
import contextlib
import datetime
import io
import json
import os
import socket
import sys
import uuid

with contextlib.redirect_stdout(io.StringIO()):
    import o6
    from o6.ns.ns0.datatypes import UserNameIdentityToken, AnonymousIdentityToken

NS = 1


class Users(o6.AccessControl):
    def __init__(self, settings):
        super().__init__(anonymous=True, username=True)
        self.settings = settings

    def activateSession(self, endpoint, remoteCertificate, session, userIdentityToken):
        token = userIdentityToken
        if isinstance(token, UserNameIdentityToken):
            password = token.password
            password = password.decode() if isinstance(password, (bytes, bytearray)) else str(password)
            if str(token.userName) != self.settings["user"] or password != self.settings["password"]:
                raise o6.StatusCodeError(o6.StatusCode.BAD_IDENTITY_TOKEN_REJECTED)
        return "known"


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def values():
    when = datetime.datetime(2026, 3, 29, 1, 30, 15, 123000, tzinfo=datetime.timezone.utc)
    return [
        ("boolean", o6.Boolean(True)),
        ("sbyte", o6.SByte(-128)),
        ("byte", o6.Byte(255)),
        ("int16", o6.Int16(-32768)),
        ("uint16", o6.UInt16(65535)),
        ("int32", o6.Int32(-2147483648)),
        ("uint32", o6.UInt32(4294967295)),
        ("int64", o6.Int64(-9223372036854775808)),
        ("uint64", o6.UInt64(18446744073709551615)),
        ("float", o6.Float(3.25)),
        ("double", o6.Double(2.718281828459045)),
        ("string", "Düse 7 \u2192 \"ok\""),
        ("datetime", o6.DateTime(when)),
        ("guid", uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63")),
        ("bytestring", o6.ByteString(bytes([0, 1, 254, 255]))),
        ("xmlelement", o6.XmlElement("<a b=\"1\">x</a>")),
        ("nodeid", o6.NodeId(f"ns={NS};s=Zone/1")),
        ("expandednodeid", o6.ExpandedNodeId("nsu=urn:elsewhere;i=77")),
        ("statuscode", o6.StatusCode(0x80340000)),
        ("qualifiedname", o6.QualifiedName(f"{NS}:Zone")),
        ("localizedtext", o6.LocalizedText("de-DE", "Düse")),
        ("array_double", [o6.Double(0.1), o6.Double(-2.5), o6.Double(1e300)]),
        ("array_string", ["a", "", "ß"]),
        ("matrix_int32", [[o6.Int32(n) for n in row] for row in ((1, 2, 3), (4, 5, 6))]),
        ("cube_uint16", [[[o6.UInt16(n) for n in row] for row in level] for level in (((1, 2), (3, 4)), ((5, 6), (7, 8)))]),
    ]


async def add(server, name, value):
    return await server.addVariable(name, server.objectsNode, value, nodeId=o6.NodeId(f"ns={NS};s={name}"), ns=NS)


async def load(server, settings):
    """All items change together: item i has i * 2^32 + round."""
    nodes = []
    for number in range(settings["items"]):
        node = await add(server, f"load_{number:05}", o6.UInt64(number << 32))
        nodes.append((o6.NodeId(f"ns={NS};s=load_{number:05}"), number << 32))
    print("listening", settings["port"], flush=True)
    interval = settings["interval_ms"] / 1000
    due = asyncio.get_running_loop().time()
    round_ = 0
    while True:
        round_ += 1
        ids = [node for node, _ in nodes]
        await server.write(ids, [o6.UInt64(base + round_) for _, base in nodes])
        with open(settings["counts"] + ".new", "w") as file:
            json.dump({"rounds": round_}, file)
        os.replace(settings["counts"] + ".new", settings["counts"])
        due += interval
        await asyncio.sleep(max(0.001, due - asyncio.get_running_loop().time()))


async def main():
    with open(sys.argv[1]) as file:
        settings = json.load(file)
    settings["port"] = settings.get("port") or free_port()
    server = o6.Server(
        port=settings["port"],
        certificate=settings["certificate"],
        privateKey=settings["key"],
        acceptAllCertificates=True,
        applicationUri=settings["uri"],
        accessControl=Users(settings),
    )
    async with server:
        for name, value in values():
            try:
                await add(server, name, value)
            except Exception as error:  # one type less is better than no server; the test says which it misses
                print(f"no {name}: {error!r}", file=sys.stderr, flush=True)
        await load(server, settings)


asyncio.run(main())
