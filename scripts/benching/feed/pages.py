"""What plays upstream's REST."""

from __future__ import annotations

import http.server
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Pages(http.server.BaseHTTPRequestHandler):
    """Pages of ratings, the newest of them first; nothing was ever removed."""

    protocol_version = "HTTP/1.1"

    def __init__(self, pages: list[bytes], asked: list[float], *given: Any) -> None:
        self.pages, self.asked = pages, asked
        super().__init__(*given)

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        page = int(parse_qs(asked.query).get("page", ["0"])[0])
        mine = asked.path == "/api/v2.1/calendar/ratings" and page < len(self.pages)
        if mine:
            self.asked.append(time.perf_counter())
        body = self.pages[page] if mine else b"[]"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return
