"""Routes and middleware."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pywebtransport import WebTransportSession
from pywebtransport.framework import (
    MiddlewareManager,
    MiddlewareRejected,
    RequestRouter,
    StatefulMiddlewareProtocol,
    create_auth_middleware,
    create_cors_middleware,
    create_rate_limit_middleware,
)
from pywebtransport.types import Headers

Run = Callable[[Any], Any]


def request(path: str = "/", **headers: str) -> WebTransportSession:
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    return cast(
        WebTransportSession, SimpleNamespace(path=path, headers=lines, remote_address=("192.0.2.1", 1))
    )


async def handler(session: WebTransportSession, **arguments: str) -> None: ...


async def other(session: WebTransportSession) -> None: ...


def test_paths_are_found_exactly_then_by_pattern_then_by_default() -> None:
    router = RequestRouter()
    router.add_route(path="/a", handler=handler)
    router.add_pattern_route(pattern=r"/user/(?P<name>\w+)", handler=handler)
    assert router.route_request(session=request("/a")) == (handler, {})
    assert router.route_request(session=request("/a?x=1")) == (handler, {})
    assert router.route_request(session=request("/user/eve")) == (handler, {"name": "eve"})
    assert router.route_request(session=request("/user/eve/more")) is None
    assert router.route_request(session=request("/b")) is None
    router.set_default_handler(handler=other)
    assert router.route_request(session=request("/b")) == (other, {})
    router.add_route(path="/a?x=1", handler=other)
    assert router.route_request(session=request("/a?x=1")) == (other, {})
    assert router.get_route_stats() == {"exact_routes": 2, "pattern_routes": 1, "has_default_handler": True}
    router.remove_route(path="/a")
    router.remove_pattern_route(pattern=r"/user/(?P<name>\w+)")
    assert router.get_route_handler(path="/a") is None


def test_routes_that_make_no_sense_are_refused() -> None:
    router = RequestRouter()
    router.add_route(path="/a", handler=handler)
    with pytest.raises(ValueError, match="/a"):
        router.add_route(path="/a", handler=other)
    router.add_route(path="/a", handler=other, override=True)
    with pytest.raises(ValueError, match="pattern"):
        router.add_pattern_route(pattern="(", handler=handler)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://a", True), ("https://x.b", True), ("https://b", False), (None, False)],
)
def test_origins(run: Run, origin: str | None, allowed: bool) -> None:
    check = create_cors_middleware(allowed_origins=["https://a", "https://*.b"])
    session = request() if origin is None else request(origin=origin)
    if allowed:
        run(check(session=session))
        return
    with pytest.raises(MiddlewareRejected) as caught:
        run(check(session=session))
    assert caught.value.status_code == 403


def test_authentication(run: Run) -> None:
    async def decide(*, headers: Headers) -> bool:
        if not headers:
            raise LookupError("on purpose")
        return (b"token", b"good") in list(headers)

    check = create_auth_middleware(auth_handler=decide)
    run(check(session=request(token="good")))
    for session, status in ((request(token="bad"), 401), (request(), 500)):
        with pytest.raises(MiddlewareRejected) as caught:
            run(check(session=session))
        assert caught.value.status_code == status


def test_rates_are_limited_by_address(run: Run) -> None:
    limiter = create_rate_limit_middleware(max_requests=2, max_tracked_ips=1)

    async def main() -> None:
        assert isinstance(limiter, StatefulMiddlewareProtocol)
        async with limiter:
            for _ in range(2):
                await limiter(session=request())
            with pytest.raises(MiddlewareRejected) as caught:
                await limiter(session=request())
            assert caught.value.status_code == 429
            assert "retry-after" in dict(caught.value.headers)
            stranger = cast(Any, SimpleNamespace(headers=[], remote_address=("192.0.2.2", 1)))
            await limiter(session=stranger)
            # Only one address is remembered: the first one starts anew.
            await limiter(session=request())

    run(main())


def test_the_first_refusal_counts_and_failures_are_500(run: Run) -> None:
    manager, asked = MiddlewareManager(), []

    async def note(*, session: Any) -> None:
        asked.append(session.path)

    async def fail(*, session: Any) -> None:
        raise LookupError("on purpose")

    manager.add_middleware(middleware=note)
    manager.add_middleware(middleware=fail)
    manager.add_middleware(middleware=note)
    with pytest.raises(MiddlewareRejected) as caught:
        run(manager.process_request(session=request("/p")))
    assert caught.value.status_code == 500
    assert asked == ["/p"]
    manager.remove_middleware(middleware=fail)
    manager.remove_middleware(middleware=fail)
    assert manager.get_middleware_count() == 2
