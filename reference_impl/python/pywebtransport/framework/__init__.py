"""The application framework: routes, middleware, and the application that serves them."""

from pywebtransport.framework.app import ServerApp
from pywebtransport.framework.middleware import (
    AuthHandlerProtocol,
    MiddlewareManager,
    MiddlewareProtocol,
    MiddlewareRejected,
    StatefulMiddlewareProtocol,
    create_auth_middleware,
    create_cors_middleware,
    create_rate_limit_middleware,
)
from pywebtransport.framework.router import RequestRouter, SessionHandler

__all__ = [
    "AuthHandlerProtocol",
    "MiddlewareManager",
    "MiddlewareProtocol",
    "MiddlewareRejected",
    "RequestRouter",
    "ServerApp",
    "SessionHandler",
    "StatefulMiddlewareProtocol",
    "create_auth_middleware",
    "create_cors_middleware",
    "create_rate_limit_middleware",
]
