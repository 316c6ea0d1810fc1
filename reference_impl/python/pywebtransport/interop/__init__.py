"""The interop server: endpoints that exercise a WebTransport peer. `python -m pywebtransport.interop`."""
