"""``python -m conformance.peer.model`` over UDP, in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from conformance.peer.client import Peer
from conformance.peer.drafts import Draft
from conformance.peer.openers import UdpOpener
from conformance.peer.probe import probe_draft


def test_serves_until_interrupted() -> None:
    command = [sys.executable, "-m", "conformance.peer.model", "--port", "0", "--drafts", "16,02"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("listening on ").strip()
            digest = process.stdout.readline().split()[-1]
            opener = UdpOpener(url=url, quic={"insecure": True})
            probe = probe_draft(opener)
            assert probe.drafts == {Draft.D16, Draft.D02}
            assert probe.certificate_sha256 == digest
            with Peer.connect(opener) as peer:
                session = peer.establish()
                stream = session.open_bidi(b"over UDP", end_stream=True)
                assert peer.wait(lambda: stream.ended)
                assert stream.received == b"over UDP"
                process.send_signal(signal.SIGINT)
                assert peer.wait(lambda: bool(peer.goaways))
                session.close()
                peer.wait(lambda: False)
                assert peer.closed is not None
                assert peer.closed.by == "peer"
        finally:
            process.terminate()
    assert process.returncode == 0
