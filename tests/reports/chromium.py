"""A headless Chromium to open pages in, spoken to through a pipe: no driver, no port, no network.

https://chromedevtools.github.io/devtools-protocol; messages are JSON with a zero byte behind each.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_SECONDS = 60.0

WIRING = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)


@contextmanager
def browser(profile):
    """An empty tab of a browser that keeps its files in `profile`, or a skip with the reason."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser to open a page in: none of {', '.join(NAMES)} is installed")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += [f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    process, write, read = _wired(command)
    try:
        tab = Tab(write, read)
        tab.attach()
        yield tab
    finally:
        os.close(write)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(read)


def _wired(command):
    """The program with a pipe to its file 3 and one from its file 4, which is where Chromium reads and writes."""
    (for_it, write), (read, from_it) = os.pipe(), os.pipe()
    far = [fcntl.fcntl(file, fcntl.F_DUPFD, 10) for file in (for_it, from_it)]
    wrapped = [sys.executable, "-c", WIRING, *map(str, far), *command]
    process = subprocess.Popen(wrapped, pass_fds=far, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for file in (for_it, from_it, *far):
        os.close(file)
    return process, write, read


class Tab:
    """One page; `requests` and `complaints` are what it asked for and what the browser held against it."""

    def __init__(self, write, read):
        self._write, self._read, self._number, self._rest, self._session = write, read, 0, b"", None
        self._loaded = False
        self.requests, self.complaints = [], []

    def attach(self):
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def open(self, page, width=1200, height=900, *, script=True, dark=False, touch=False):
        """Load a page anew, on a screen of that size."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="", features=scheme)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self._loaded = False
        self.requests, self.complaints = [], []
        self.call("Page.navigate", url=page.as_uri())
        self._until(lambda: self._loaded)

    def run(self, expression):
        """The value of an expression in the page, which may be a promise."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    def middle_of(self, selector, x=0.5, y=0.5):
        """A point in an element, after it was scrolled into view and the page came to rest."""
        js = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{js}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        self.settle()
        box = self.run(f"(() => {{const b = {js}.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]}})()")
        return {"x": box[0] + x * box[2], "y": box[1] + y * box[3]}

    def settle(self):
        """Wait until what was done has been drawn, and a page that was scrolled counts as still."""
        self.run("new Promise(done => setTimeout(() => requestAnimationFrame(done), 350))")

    def wheel(self, point, turns):
        self.call("Input.dispatchMouseEvent", type="mouseWheel", deltaX=0, deltaY=120 * turns, **point)

    def press(self, point):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point)

    def drag(self, start, across):
        """A finger that is moved to the side."""
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[start])
        for step in range(1, 9):
            point = {**start, "x": start["x"] + across * step / 8}
            self.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[point])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def tap(self, point):
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def key(self, name, code):
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)

    def emulate_print(self):
        self.call("Emulation.setEmulatedMedia", media="print")

    def screenshot(self, *, whole=False):
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def pdf(self):
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])

    def call(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answers = []
        self._until(lambda: answers, number=self._number, answers=answers)
        if "error" in answers[0]:
            raise AssertionError(f"{method}: {answers[0]['error']}")
        return answers[0].get("result", {})

    def _until(self, done, number=None, answers=None):
        end = time.monotonic() + PATIENCE_SECONDS
        while not done():
            if not select.select([self._read], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            data = os.read(self._read, 1 << 20)
            if not data:
                raise ConnectionError("the browser is gone")
            *whole, self._rest = (self._rest + data).split(b"\0")
            for message in map(json.loads, whole):
                if number is not None and message.get("id") == number:
                    answers.append(message)
                self._note(message)

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        if method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        if method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"]["text"])
