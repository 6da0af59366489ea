"""A headless Chromium for tests of pages, over its pipe: no driver, no port, no package."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
EXECUTABLE = next((found for name in NAMES if (found := shutil.which(name))), None)
NO_BROWSER = f"no browser here: none of {', '.join(NAMES)} on PATH (Debian: apt-get install chromium)"


@dataclass
class Page:
    """A page in the browser: what it asked for, what it complained of, and what scripts in it answer."""

    send: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def evaluate(self, script: str) -> Any:
        """Run an expression in the page and give its value; a promise is waited for."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def overflow(self) -> int:
        """Count the pixels by which the page is wider than its window."""
        root = "document.documentElement"
        return int(self.evaluate(f"{root}.scrollWidth - {root}.clientWidth"))

    def screenshot(self, file: Path) -> None:
        """Write what the window shows as PNG."""
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def note(self, event: dict[str, Any]) -> None:
        """Keep what an event says of requests and errors."""
        method, what = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(what["exceptionDetails"]["text"])
        elif method == "Log.entryAdded" and what["entry"]["level"] in ("warning", "error"):
            self.complaints.append(what["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and what["type"] in ("warning", "error", "assert"):
            self.complaints.append(" ".join(str(one.get("value", one.get("description"))) for one in what["args"]))


class Browser:
    """A running browser; `open` shows a page in a window of a given size."""

    def __init__(self, commands: int, answers: BinaryIO) -> None:
        self._commands = commands
        self._answers = answers
        self._numbers = itertools.count(1)
        self._pages: dict[str, Page] = {}
        self._events: set[tuple[str, str]] = set()

    def _receive(self) -> dict[str, Any]:
        text = bytearray()
        while (one := self._answers.read(1)) != b"\0":
            assert one, "the browser ended"
            text += one
        message: dict[str, Any] = json.loads(text)
        if (page := self._pages.get(message.get("sessionId", ""))) and "method" in message:
            page.note(message)
            self._events.add((message["sessionId"], message["method"]))
        return message

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and give its answer; events before it are noted."""
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        while (message := self._receive()).get("id") != number:
            pass
        assert "error" not in message, (method, message["error"])
        result: dict[str, Any] = message["result"]
        return result

    @contextmanager
    def open(self, address: str, width: int = 1280, height: int = 900) -> Iterator[Page]:
        """Load a page and wait until all that it names is there."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(lambda method, **parameters: self.send(method, session, **parameters))
        self._pages[session] = page
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.send(f"{domain}.enable")
        page.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        page.send("Page.navigate", url=address)
        while (session, "Page.loadEventFired") not in self._events:
            self._receive()
        yield page
        self.send("Target.closeTarget", targetId=target)


@contextmanager
def running(executable: str, profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile, and end it."""
    (from_here, commands), (answers, to_here) = os.pipe(), os.pipe()

    def connect() -> None:  # the browser reads commands from 3 and answers on 4
        kept = os.dup(from_here), os.dup(to_here)
        for number, end in zip((3, 4), kept, strict=True):
            os.dup2(end, number)

    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [executable, *options],
        preexec_fn=connect,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(from_here)
    os.close(to_here)
    try:
        with os.fdopen(answers, "rb") as readable:
            yield Browser(commands, readable)
            process.terminate()
            process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(commands)
