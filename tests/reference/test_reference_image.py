"""The container image: its steps are run as the Dockerfile runs them, without an engine."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import pytest

REFERENCE = Path(__file__).resolve().parents[2] / "reference_impl"
STEPS = "scripts/image_steps.sh"
PREFIX = "/opt/webtransport-reference"
BUILD_TIME = 900
"""Seconds; a build on a machine that is busy."""

pytestmark = pytest.mark.usefixtures("built")


def ignored(path: PurePosixPath, patterns: list[str]) -> bool:
    """Whether a path is left out of the build context; patterns as in this project's .dockerignore."""
    for pattern in patterns:
        anywhere = pattern.removeprefix("**/")
        parts = path.parts if anywhere != pattern else path.parts[:1]
        if any(fnmatchcase(part, anywhere) for part in parts):
            return True
    return False


def build_context(into: Path) -> None:
    """What an engine would be sent."""
    lines = (REFERENCE / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert not any("/" in pattern.removeprefix("**/") or pattern.startswith("!") for pattern in patterns)

    def left_out(folder: str, names: list[str]) -> set[str]:
        base = PurePosixPath(Path(folder).relative_to(REFERENCE).as_posix())
        return {name for name in names if ignored(base / name, patterns)}

    shutil.copytree(REFERENCE, into, ignore=left_out)


def instructions() -> list[tuple[str, str]]:
    text = (REFERENCE / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    pairs = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, " ".join(rest.split())) for name, _, rest in pairs]


def test_the_dockerfile_does_what_the_script_does() -> None:
    script = (REFERENCE / STEPS).read_text()
    known = re.findall(r"^    '([a-z]+) 3'\)", script, re.MULTILINE)
    given = instructions()
    text = "\n".join(f"{name} {rest}" for name, rest in given)
    used = re.findall(r"image_steps\.sh[\", ]+([a-z]+)\b", text.replace("/usr/local/bin/image_steps.sh", ""))
    assert used == known == ["wheels", "install", "health"]
    # All else that runs is the system's own: packages and the user
    for command in re.findall(r"RUN (.*)", text):
        for part in command.split("&&"):
            first = re.sub(r"^--mount=\S+ ", "", part.strip()).split()[0]
            assert first in {"apt-get", "rm", "useradd", STEPS, "image_steps.sh"}, part
    assert [name for name, _ in given].count("FROM") == 2


def test_the_image_is_not_run_by_root_and_is_asked_how_it_is() -> None:
    given = instructions()
    final = given[max(index for index, (name, _) in enumerate(given) if name == "FROM") :]
    last = dict(final)
    assert last["USER"] == "interop"
    assert any("useradd --system" in rest for name, rest in final if name == "RUN")
    assert json.loads(last["ENTRYPOINT"]) == [f"{PREFIX}/bin/pywebtransport-interop"]
    check = json.loads(last["HEALTHCHECK"].partition("CMD ")[2])
    assert check == ["image_steps.sh", "health", PREFIX, "https://127.0.0.1:4433/status"]
    assert last["EXPOSE"] == "4433/udp"
    # A container has as long as the drain takes
    grace = re.search(r"stop_grace_period: (\d+)s", (REFERENCE / "compose.yaml").read_text())
    assert grace is not None
    assert int(grace[1]) >= 5


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that any user can enter."""
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def interpreter() -> str:
    """One that any user can run."""
    for candidate in ("/usr/bin/python3", getattr(sys, "_base_executable", sys.executable)):
        probe = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
        if shutil.which(candidate) and not subprocess.run([candidate, "-c", probe], check=False).returncode:
            return candidate
    pytest.fail("no Python with venv")


def as_nobody() -> list[str]:
    """What to put before a command so that it is not root's."""
    if os.getuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ["su", "nobody", "-s", "/bin/sh", "-c", 'exec "$0" "$@"']
    nobody = pwd.getpwnam("nobody")
    ids = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    return [setpriv, *ids, "--no-new-privs", "--bounding-set=-all"]


def test_the_steps_build_a_server_that_runs_without_privileges(place: Path) -> None:
    context, wheels, prefix = place / "source", place / "wheels", place / "opt"
    build_context(context)
    assert not list(context.rglob("*.so")) and not (context / "target").exists()
    # Only so that the dependencies need not be compiled once more
    environment = {
        **os.environ,
        "PYTHON": interpreter(),
        "CARGO_TARGET_DIR": str(REFERENCE / "target"),
    }
    for step in (["wheels", str(context), str(wheels)], ["install", str(wheels), str(prefix)]):
        done = subprocess.run(
            [context / STEPS, *step],
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILD_TIME,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = wheels.glob("webtransport_reference-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {"pywebtransport/py.typed", "pywebtransport/_core.pyi"} <= set(archive.namelist())
    shutil.rmtree(wheels)

    entry = [*as_nobody(), str(prefix / "bin" / "pywebtransport-interop")]
    # As compose.yaml has it, nothing but /tmp can be written to
    bare = {"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    server = subprocess.Popen(
        [*entry, "--host", "127.0.0.1", "--port", "0", "--metrics", "0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env=bare,
    )
    try:
        assert server.stdout is not None
        said: list[str] = []
        for line in server.stdout:
            said.append(line)
            if line.startswith("listening on "):
                break
        url = said[-1].split()[-1] + "status"
        owner = Path(f"/proc/{server.pid}").stat().st_uid
        assert owner != 0
        health = subprocess.run(
            [*as_nobody(), str(context / STEPS), "health", str(prefix), url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
            env=bare,
        )
        assert json.loads(health.stdout)["status"] == "ok", health.stderr
        server.terminate()
        assert server.wait(timeout=30) == 0
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        if server.stdout is not None:
            server.stdout.close()
