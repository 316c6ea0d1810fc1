"""The exceptions of the library: one base class, one class per thing that can fail.

Each carries an `error_code` (of `ErrorCodes` or a code that the peer sent), `details`, and the attributes
named in its constructor.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from pywebtransport.constants import ErrorCodes
from pywebtransport.types import Address, ConnectionHandle, SessionId, StreamId

_FATAL = frozenset(
    {
        ErrorCodes.APP_AUTHENTICATION_FAILED,
        ErrorCodes.APP_PERMISSION_DENIED,
        ErrorCodes.H3_CLOSED_CRITICAL_STREAM,
        ErrorCodes.H3_INTERNAL_ERROR,
        ErrorCodes.LIB_CONNECTION_STATE_ERROR,
        ErrorCodes.LIB_INTERNAL_ERROR,
        ErrorCodes.QUIC_AEAD_LIMIT_REACHED,
        ErrorCodes.QUIC_CRYPTO_BUFFER_EXCEEDED,
        ErrorCodes.QUIC_FLOW_CONTROL_ERROR,
        ErrorCodes.QUIC_FRAME_ENCODING_ERROR,
        ErrorCodes.QUIC_INTERNAL_ERROR,
        ErrorCodes.QUIC_PROTOCOL_VIOLATION,
        ErrorCodes.WT_ALPN_ERROR,
    }
)
_RETRIABLE = frozenset(
    {
        ErrorCodes.APP_CONNECTION_TIMEOUT,
        ErrorCodes.APP_OPERATION_TIMEOUT,
        ErrorCodes.APP_RESOURCE_EXHAUSTED,
        ErrorCodes.APP_SERVICE_UNAVAILABLE,
        ErrorCodes.H3_EXCESSIVE_LOAD,
        ErrorCodes.QUIC_CONNECTION_REFUSED,
    }
)


class WebTransportError(Exception):
    """Base of all exceptions of this library.

    Args:
        message: what went wrong, for people.
        error_code: code of the failure; the class has a default.
        details: anything more, as a dictionary.
    """

    default_code: ClassVar[int] = ErrorCodes.APP_GENERIC_ERROR
    context_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, message: str, *, error_code: int | None = None, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = self.default_code if error_code is None else error_code
        self.details = {} if details is None else details

    @classmethod
    def from_cause(
        cls,
        message: str,
        *,
        cause: Exception,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A new exception that takes the code of `cause`, where it has one and none is given, and its
        details, to which those given are added.
        """
        code = getattr(cause, "error_code", None) if error_code is None else error_code
        inherited = getattr(cause, "details", None)
        merged = {**(inherited if isinstance(inherited, dict) else {}), **(details or {})}
        return cls(message, error_code=code, details=merged, **kwargs)

    @property
    def category(self) -> str:
        """The name of the class in snake case, without "error"."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__.removesuffix("Error")).lower()

    @property
    def is_fatal(self) -> bool:
        """Whether the connection cannot be used any more."""
        return self.error_code in _FATAL

    @property
    def is_retriable(self) -> bool:
        """Whether the same attempt may succeed later."""
        return self.error_code in _RETRIABLE

    def to_dict(self) -> dict[str, Any]:
        """Everything about the exception, for structured logs."""
        return {
            "type": type(self).__name__,
            "category": self.category,
            "message": self.message,
            "error_code": self.error_code,
            "details": self.details,
            "is_fatal": self.is_fatal,
            "is_retriable": self.is_retriable,
            **{name: getattr(self, name) for name in self.context_fields},
        }

    def __str__(self) -> str:
        return f"{self.message} error_code={self.error_code:#x}"

    def __repr__(self) -> str:
        parts = [f"message={self.message!r}", f"error_code={self.error_code:#x}"]
        parts += [f"{name}={getattr(self, name)!r}" for name in self.context_fields]
        if self.details:
            parts.append(f"details={self.details!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


class AuthenticationError(WebTransportError):
    """The peer could not be authenticated, or did not accept our authentication."""

    default_code = ErrorCodes.APP_AUTHENTICATION_FAILED
    context_fields = ("auth_scheme",)

    def __init__(
        self,
        message: str,
        *,
        auth_scheme: str | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.auth_scheme = auth_scheme


class CertificateError(WebTransportError):
    """A certificate or key cannot be read, or was not accepted."""

    default_code = ErrorCodes.APP_AUTHENTICATION_FAILED
    context_fields = ("path",)

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.path = path


class ClientError(WebTransportError):
    """A client could not do what was asked of it."""

    default_code = ErrorCodes.APP_INVALID_REQUEST
    context_fields = ("url",)

    def __init__(
        self,
        message: str,
        *,
        url: str | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.url = url


class ConfigurationError(WebTransportError):
    """A value of a configuration cannot be used."""

    default_code = ErrorCodes.APP_INVALID_REQUEST
    context_fields = ("config_key", "config_value")

    def __init__(
        self,
        message: str,
        *,
        config_key: str | None = None,
        config_value: Any | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.config_key = config_key
        self.config_value = config_value


class ConnectionError(WebTransportError):
    """A connection could not be made, or was lost."""

    context_fields = ("connection_handle", "remote_address")

    def __init__(
        self,
        message: str,
        *,
        connection_handle: ConnectionHandle | None = None,
        remote_address: Address | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.connection_handle = connection_handle
        self.remote_address = remote_address


class DatagramError(WebTransportError):
    """A datagram cannot be sent. Sizes are bytes."""

    context_fields = ("datagram_size", "max_size")

    def __init__(
        self,
        message: str,
        *,
        datagram_size: int | None = None,
        max_size: int | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.datagram_size = datagram_size
        self.max_size = max_size


class FlowControlError(WebTransportError):
    """A limit of flow control was exceeded (draft-16 §5)."""

    default_code = ErrorCodes.WT_FLOW_CONTROL_ERROR
    context_fields = ("stream_id", "actual", "limit")

    def __init__(
        self,
        message: str,
        *,
        stream_id: StreamId | None = None,
        actual: int | None = None,
        limit: int | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.stream_id = stream_id
        self.actual = actual
        self.limit = limit


class HandshakeError(WebTransportError):
    """The handshake of a connection failed."""

    context_fields = ("stage",)

    def __init__(
        self,
        message: str,
        *,
        stage: str | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.stage = stage


class ProtocolError(WebTransportError):
    """The peer broke HTTP/3 or WebTransport."""

    default_code = ErrorCodes.H3_GENERAL_PROTOCOL_ERROR
    context_fields = ("frame_type",)

    def __init__(
        self,
        message: str,
        *,
        frame_type: int | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.frame_type = frame_type


class ServerError(WebTransportError):
    """A server could not do what was asked of it."""

    default_code = ErrorCodes.APP_SERVICE_UNAVAILABLE
    context_fields = ("bind_address",)

    def __init__(
        self,
        message: str,
        *,
        bind_address: Address | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.bind_address = bind_address


class SessionError(WebTransportError):
    """A session could not be established, or is in the wrong state for what was asked of it."""

    default_code = ErrorCodes.LIB_SESSION_STATE_ERROR
    context_fields = ("session_id",)

    def __init__(
        self,
        message: str,
        *,
        session_id: SessionId | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.session_id = session_id


class SessionClosedError(SessionError):
    """The session has ended; `error_code` is the code that it was closed with."""

    default_code = ErrorCodes.APP_NO_ERROR

    def __init__(
        self,
        message: str = "session closed",
        *,
        session_id: SessionId | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, session_id=session_id, error_code=error_code, details=details)


class StreamError(WebTransportError):
    """A stream was reset or stopped (`error_code` is the application's code), or is in the wrong state."""

    default_code = ErrorCodes.LIB_STREAM_STATE_ERROR
    context_fields = ("stream_id",)

    def __init__(
        self,
        message: str,
        *,
        stream_id: StreamId | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.stream_id = stream_id


class TimeoutError(WebTransportError):
    """An operation took longer than its limit."""

    default_code = ErrorCodes.APP_OPERATION_TIMEOUT
    context_fields = ("operation",)

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        error_code: int | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, details=details)
        self.operation = operation


__all__ = [
    "AuthenticationError",
    "CertificateError",
    "ClientError",
    "ConfigurationError",
    "ConnectionError",
    "DatagramError",
    "FlowControlError",
    "HandshakeError",
    "ProtocolError",
    "ServerError",
    "SessionClosedError",
    "SessionError",
    "StreamError",
    "TimeoutError",
    "WebTransportError",
]
