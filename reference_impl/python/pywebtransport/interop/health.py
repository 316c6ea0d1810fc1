"""Ask a server how it is: `python -m pywebtransport.interop.health URL`, for health checks of containers."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from typing import Any

from pywebtransport.client import WebTransportClient
from pywebtransport.config import ClientConfig
from pywebtransport.exceptions import WebTransportError


async def ask(url: str, *, timeout: float = 4.0) -> dict[str, Any]:
    """The answer of a `status` endpoint. The certificate is not verified: the caller asks its own server.

    Raises:
        WebTransportError, ValueError: there is no session, or no answer.
    """
    config = ClientConfig(verify_mode=ssl.CERT_NONE, connect_timeout=timeout, read_timeout=timeout)
    async with WebTransportClient(config=config) as client:
        session = await client.connect(url=url)
        stream = await session.create_bidirectional_stream()
        await stream.write(data=b"", end_stream=True)
        answer: dict[str, Any] = json.loads(await stream.read_all())
        return answer


def main(arguments: list[str]) -> int:
    """Returns 0 if the server is well, 1 if not, 2 for wrong arguments."""
    if len(arguments) != 1:
        print("usage: python -m pywebtransport.interop.health URL", file=sys.stderr)
        return 2
    try:
        status = asyncio.run(ask(arguments[0]))
    except (WebTransportError, ValueError) as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    print(json.dumps(status))
    return 0 if status.get("status") == "ok" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
