"""Resets in both directions between our client and a server that observes (docs/endpoints.md).

`python scripts/reset_interop.py URL`: our client resets streams with codes, and the endpoint `/observe` of
the server has to have seen them; then `/reset` resets its streams, and we have to see those. Fails if one
differs. The server may be any implementation, such as `python -m scenarios.peers serve webtransport-go`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import uuid
from typing import Any
from urllib.parse import urljoin

from pywebtransport import ClientConfig, WebTransportClient
from pywebtransport.exceptions import StreamError

# The gaps in the range of WebTransport's codes lie in between (draft-16 §4.4).
CODES = (0, 1, 0x1D, 0x1E, 0x1F, 255, 0xFFFFFFFF)


async def main(url: str) -> int:
    """Returns 0 if all codes arrived."""
    async with WebTransportClient(config=ClientConfig(verify_mode=ssl.CERT_NONE)) as client:
        there = await ours(client, url)
        here = [await theirs(client, url, code) for code in CODES]
    print(f"resets of ours that the server saw: {there}")
    print(f"resets of the server that we saw:   {here}")
    return 0 if sorted(there) == sorted(CODES) and here == list(CODES) else 1


async def ours(client: WebTransportClient, url: str) -> list[int]:
    """Reset one stream with each code, with bytes before it and without; the codes that were observed."""
    name = uuid.uuid4().hex
    session = await client.connect(url=urljoin(url, f"/observe?id={name}"))
    for index, code in enumerate(CODES):
        stream = await session.create_unidirectional_stream()
        if index % 2:
            await stream.write(data=b"before the reset")
        await stream.reset(error_code=code)
    reader = await client.connect(url=urljoin(url, f"/observe?read={name}"))
    seen: list[int] = []
    for _ in range(100):
        query = await reader.create_bidirectional_stream()
        await query.write_all(data=b"", end_stream=True)
        records: list[dict[str, Any]] = [json.loads(line) for line in (await query.read_all()).splitlines()]
        seen = [record["code"] for record in records if record["event"] == "reset"]
        if len(seen) == len(CODES):
            break
        await asyncio.sleep(0.02)
    await session.close()
    await reader.close()
    return seen


async def theirs(client: WebTransportClient, url: str, code: int) -> int | None:
    """The code with which the server resets a stream of its own."""
    session = await client.connect(url=urljoin(url, f"/reset?code={code}&uni=1"))
    try:
        async with asyncio.timeout(10):
            async for stream in session.incoming_unidirectional_streams():
                try:
                    await stream.read_all()
                except StreamError as error:
                    return error.error_code
                return None
    finally:
        await session.close()
    return None


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "https://127.0.0.1:4433/")))
