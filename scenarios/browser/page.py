"""The page, served over HTTP from localhost: a secure context, without which there is no WebTransport."""

from __future__ import annotations

import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from types import TracebackType
from typing import Any

PAGE = b'<!doctype html><meta charset="utf-8"><title>WebTransport</title><script src="page.js"></script>'


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, script: bytes, *arguments: Any) -> None:
        self._script = script
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer with the page or its script."""
        body, kind = (self._script, "text/javascript") if self.path == "/page.js" else (PAGE, "text/html")
        self.send_response(200)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Stay silent."""


class Page:
    """Serves the page on a free port; use as a context manager."""

    def __enter__(self) -> Page:
        """Start to serve."""
        script = files("scenarios.browser").joinpath("page.js").read_bytes()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, script))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://localhost:{self._server.server_address[1]}/"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
