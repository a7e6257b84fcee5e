"""A peer that is not ours: python3-websockets. It prints one line for each thing that it has seen."""

import asyncio
import sys

import websockets

URL = sys.argv[1]
TOKEN = {"Authorization": "Bearer sesame"}


def connect(subprotocols=("rudderpost.v1",), headers=TOKEN, **more):
    return websockets.connect(URL, subprotocols=list(subprotocols), extra_headers=headers, max_size=None, **more)


async def closes(ws):
    try:
        await ws.recv()
    except websockets.ConnectionClosed as e:
        print("close", e.rcvd.code, e.rcvd.reason)


async def refused(**how):
    try:
        async with connect(**how):
            print("not refused")
    except websockets.InvalidStatusCode as e:
        print("status", e.status_code)


async def main():
    async with connect() as ws:
        print("subprotocol", ws.subprotocol, "extensions", ws.extensions)
        await ws.send('{"id": 1}')
        print("text", await ws.recv())
        big = '{"id": 2, "x": "%s"}' % ("ä" * 40000)
        await ws.send(big)
        print("big", str(await ws.recv() == big).lower())
        await ws.send(['{"id"', ": 3", "}"])
        print("fragments", await ws.recv())
        await (await ws.ping(b"x"))
        print("pong")
        for i in range(1000):
            await ws.send('{"id": %d}' % i)
        many = all([await ws.recv() == '{"id": %d}' % i for i in range(1000)])
        print("many", str(many).lower())
        await ws.send("{}")
        print("text", await ws.recv())
        await closes(ws)
    async with connect() as ws:
        await ws.send('{"x": "%s"}' % ("x" * 200000))
        print("text", await ws.recv())
        await closes(ws)
    async with connect() as ws:
        await ws.send(b"{}")
        print("text", await ws.recv())
        await closes(ws)
    async with connect(subprotocols=()) as ws:
        await ws.send("[]")
        print("no subprotocol", await ws.recv())
        await closes(ws)
    await refused(subprotocols=["mqtt"])
    await refused(headers={})
    await refused(headers={"Authorization": "Bearer open"})
    await refused(origin="https://evil.example")


asyncio.run(main())
