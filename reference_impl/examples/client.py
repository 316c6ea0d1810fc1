"""Sends a datagram and a stream to server.py, and prints the answers."""

import asyncio
import ssl
import sys

from pywebtransport import ClientConfig, WebTransportClient
from pywebtransport.types import EventType


async def main(url: str) -> None:
    """Talk to the server of a URL."""
    config = ClientConfig(verify_mode=ssl.CERT_NONE)
    async with WebTransportClient(config=config) as client:
        session = await client.connect(url=url)

        await session.send_datagram(data=b"a datagram")
        event = await session.events.wait_for(event_type=EventType.DATAGRAM_RECEIVED)
        if event.data is not None:
            print("datagram:", event.data["data"].decode())

        stream = await session.create_bidirectional_stream()
        await stream.write_all(data=b"a stream", end_stream=True)
        print("stream:", (await stream.read_all()).decode())

        await session.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "https://127.0.0.1:4433/"))
