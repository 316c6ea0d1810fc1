"""A server that answers everything with "ECHO: " in front: datagrams, and bidirectional streams as a whole.

Run it, then run client.py beside it. It leaves localhost.crt and localhost.key in the current directory.
"""

import asyncio

from pywebtransport import (
    Event,
    ServerApp,
    ServerConfig,
    StreamError,
    WebTransportSession,
    WebTransportStream,
)
from pywebtransport.types import EventType
from pywebtransport.utils import generate_self_signed_cert

generate_self_signed_cert(hostname="localhost")
app = ServerApp(config=ServerConfig(certfile="localhost.crt", keyfile="localhost.key"))


@app.route(path="/")
async def answer(session: WebTransportSession) -> None:
    """Serve one session until it ends."""

    async def answer_datagram(event: Event) -> None:
        if event.data is not None:
            await session.send_datagram(data=b"ECHO: " + event.data["data"])

    session.events.on(event_type=EventType.DATAGRAM_RECEIVED, handler=answer_datagram)
    try:
        async with asyncio.TaskGroup() as streams:
            async for stream in session.incoming_bidirectional_streams():
                streams.create_task(answer_stream(stream))
    finally:
        session.events.off(event_type=EventType.DATAGRAM_RECEIVED, handler=answer_datagram)


async def answer_stream(stream: WebTransportStream) -> None:
    """Read a stream to its end, and answer on it."""
    try:
        request = await stream.read_all()
        await stream.write_all(data=b"ECHO: " + request, end_stream=True)
    except StreamError as error:
        print(f"stream {stream.stream_id}: {error}")


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=4433)
