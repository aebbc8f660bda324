"""A Modbus device on pymodbus, with the registers that README.md of this folder lists.

    pymodbus_server.py [tcp | udp | rtu-over-tcp | ascii-over-tcp]
    pymodbus_server.py tls CERTIFICATE KEY CA
    pymodbus_server.py rtu | ascii SERIAL-PORT

Prints "listening PORT" (0 for a serial port) and serves until it is killed.
"""
import asyncio
import socket
import ssl
import struct
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def words(layout: str, value: float) -> list[int]:
    raw = struct.pack(">" + layout, value)
    return list(struct.unpack(f">{len(raw) // 2}H", raw))


HOLDING = (
    [0x1234, 0xFFFE, 0xDEAD, 0xBEEF, 0xBEEF, 0xDEAD]
    + words("f", 3.25)
    + words("d", 2.718281828459045)
    + words("q", -9007199254740993)
    + [2153]
    + [0] * 47
)
INPUT = [777] + [0] * 63
COILS = [bool(bit) for bit in (1, 0, 1, 1, 0, 0, 1, 0)] + [False] * 24
DISCRETE = [False, False, False, True] + [False] * 28


async def main() -> None:
    def bits(values):
        return [SimData(0, values=values, datatype=DataType.BITS)]

    def registers(values):
        return [SimData(0, values=values, datatype=DataType.REGISTERS)]

    device = SimDevice(1, simdata=(bits(COILS), bits(DISCRETE), registers(HOLDING), registers(INPUT)))
    kind, *rest = sys.argv[1:] or ["tcp"]
    with socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = ("127.0.0.1", port)
    if kind in ("rtu", "ascii"):
        port = 0
        server = ModbusSerialServer(device, framer=FramerType(kind), port=rest[0], baudrate=115200)
    elif kind == "udp":
        server = ModbusUdpServer(device, address=address)
    elif kind == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(rest[0], rest[1])
        context.load_verify_locations(rest[2])
        context.verify_mode = ssl.CERT_REQUIRED
        # The specification puts the whole MBAP frame into TLS.
        server = ModbusTlsServer(device, framer=FramerType.SOCKET, address=address, sslctx=context)
    else:
        framer = {"tcp": FramerType.SOCKET, "rtu-over-tcp": FramerType.RTU, "ascii-over-tcp": FramerType.ASCII}[kind]
        server = ModbusTcpServer(device, framer=framer, address=address)
    await server.listen()
    print("listening", port, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
