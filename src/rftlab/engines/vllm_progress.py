"""Whether a vLLM server works: by its count of tokens, as its /health answers although its engine hangs."""

from __future__ import annotations

import re
import time

import urllib3

from rftlab.first_line import first_line

TOKENS = re.compile(rb"^vllm:(?:prompt|generation)_tokens_total(?:{.*})? (\S+)$", re.MULTILINE)
"""In a server's /metrics: the tokens that its engines have read and made, of all requests."""
LOOKS = 10
"""Looks at the count in the seconds that it may stand still."""


class Progress:
    """Of one server, while answers of it are outstanding.

    Args:
        http: how it is reached.
        url: of the server.
        timeout: of a question for its count.
        deadline: seconds that the count may stand still.
    """

    def __init__(self, http: urllib3.PoolManager, url: str, timeout: urllib3.Timeout, deadline: float) -> None:
        self.http, self.url, self.timeout, self.deadline = http, url, timeout, deadline
        self._looked = self._moved = time.monotonic()
        self._count: float | None = None

    def stands_still(self) -> str | None:
        """What is wrong, once the count has not moved for ``deadline`` seconds; None before. To be asked often."""
        if time.monotonic() - self._looked < self.deadline / LOOKS:
            return None
        count, found = self._asked()
        self._looked = time.monotonic()
        if count is not None and count != self._count:
            self._count, self._moved = count, self._looked
        return found if self._looked - self._moved > self.deadline else None

    def _asked(self) -> tuple[float | None, str]:
        """The count, None where there is none; and what is wrong if that goes on."""
        try:
            reply = self.http.request("GET", self.url + "/metrics", timeout=self.timeout, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            return None, f"nor did /metrics: {first_line(error)}"
        if counts := TOKENS.findall(reply.data):
            return sum(map(float, counts)), "its engine hangs: /metrics has counted no token meanwhile"
        return None, (
            f"/metrics, status {reply.status}, counts no tokens, so no work can be seen: start it without "
            "--disable-log-stats, or give more seconds"
        )
