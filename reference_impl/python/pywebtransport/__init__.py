"""WebTransport over HTTP/3: clients, servers and applications on asyncio, with a core in Rust.

This package is the distribution `webtransport-reference`. Another project of the Python registry has the same
import name; `__distribution__` and `require_reference` tell which one is installed.
"""

from pywebtransport._distribution import DISTRIBUTION as __distribution__
from pywebtransport._distribution import require_reference
from pywebtransport.client import WebTransportClient
from pywebtransport.config import ClientConfig, ServerConfig
from pywebtransport.constants import ErrorCodes
from pywebtransport.events import Event
from pywebtransport.exceptions import (
    ClientError,
    ConfigurationError,
    ConnectionError,
    DatagramError,
    ProtocolError,
    ServerError,
    SessionClosedError,
    SessionError,
    StreamError,
    TimeoutError,
    WebTransportError,
)
from pywebtransport.framework import ServerApp
from pywebtransport.server import WebTransportServer
from pywebtransport.session import WebTransportSession
from pywebtransport.stream import WebTransportReceiveStream, WebTransportSendStream, WebTransportStream
from pywebtransport.types import URL, Address, Headers
from pywebtransport.version import __version__

__all__ = [
    "URL",
    "Address",
    "ClientConfig",
    "ClientError",
    "ConfigurationError",
    "ConnectionError",
    "DatagramError",
    "ErrorCodes",
    "Event",
    "Headers",
    "ProtocolError",
    "ServerApp",
    "ServerConfig",
    "ServerError",
    "SessionClosedError",
    "SessionError",
    "StreamError",
    "TimeoutError",
    "WebTransportClient",
    "WebTransportError",
    "WebTransportReceiveStream",
    "WebTransportSendStream",
    "WebTransportServer",
    "WebTransportSession",
    "WebTransportStream",
    "__distribution__",
    "__version__",
    "require_reference",
]
