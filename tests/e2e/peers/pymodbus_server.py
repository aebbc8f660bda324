"""A Modbus TCP device on pymodbus, with the registers that README.md of this folder lists.

Prints "listening PORT" and serves until it is killed.
"""
import asyncio
import socket
import struct

from pymodbus.server import ModbusTcpServer
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ModbusTcpServer(device, address=("127.0.0.1", port))
    await server.listen()
    print("listening", port, flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
