"""Limits of the listening server for a visitor: bytes of a request, time, and connections."""

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_BODY = 1 << 14  # bytes; an answer with 100 values has about 500
MOST_HEADERS = 1 << 14  # bytes of the request line and the headers
MOST_CONNECTIONS = 100  # at once
READ_SECONDS = 10.0  # to receive a whole request
RESPONSE_SECONDS = 60.0  # to make and send the response; at 20 kB/s that is a minute of speech
IDLE_SECONDS = 5  # of a connection between two requests
CLOSE_SECONDS = 1.0  # to send the last line of a connection
BUSY = "the test has its maximum number of visitors; try again in a minute"
SLOW = f"the request did not arrive within {READ_SECONDS:.0f} seconds"


class BodyLimit:
    """ASGI middleware: status 413 for a body longer than ``MOST_BODY``, which is not read on, and 431 for long headers.

    uvicorn limits headers that arrive in pieces, but not those that arrive at once.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read the body, and pass it on whole."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS:
            await _respond(send, 431, f"the headers are larger than {MOST_HEADERS} bytes")
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        body = b""
        more = not (stated.isdigit() and len(stated) < 20 and int(stated) > MOST_BODY)
        too_long = not more
        while more and not too_long:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more, too_long = message.get("more_body", False), len(body) > MOST_BODY
        if too_long:
            await _respond(send, 413, f"the body is larger than {MOST_BODY} bytes; an answer is much shorter")
            return
        passed = False

        async def replay() -> Any:
            nonlocal passed
            if passed:
                return await receive()
            passed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


async def _respond(send: Any, status: int, line: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(line)),
               (b"connection", b"close")]  # fmt: skip
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": line.encode()})


class BoundedProtocol(H11Protocol):
    """uvicorn's HTTP with time limits: alone it waits without end for a whole request, or to send a response."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._is_idle = False  # between two requests

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, or refuse if there are too many connections."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._end(b"503 Service Unavailable", BUSY)
        else:
            self._within(READ_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Time a request from its first byte, and its response from the request's last byte."""
        if self.transport.is_closing():
            return
        if self._is_idle:
            self._is_idle = False
            self._within(READ_SECONDS)
        super().data_received(data)
        if not self._is_idle and self.conn.their_state in (h11.DONE, h11.MUST_CLOSE):
            self._within(RESPONSE_SECONDS)

    def on_response_complete(self) -> None:
        """Wait for the next request; close if the response was complete before the request."""
        if self.conn.their_state is h11.SEND_BODY:
            self.transport.close()
        self._is_idle = True
        self._within(RESPONSE_SECONDS)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Respond to what is not HTTP, if no response has started."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._end(b"400 Bad Request", "this is not an HTTP request, or its headers are too long")
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        if self.transport.is_closing() or self._is_idle or (self.cycle is not None and self.cycle.response_started):
            self.transport.abort()
        else:
            self._end(b"408 Request Timeout", SLOW)

    def _end(self, status: bytes, line: str) -> None:
        """Send the last line of a connection, whatever the state of HTTP."""
        head = (
            b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        )
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(head % (status, len(line)) + line.encode())
        self.transport.close()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


def bounded_server(app: Any) -> uvicorn.Server:
    """A server of an application within these limits."""
    return uvicorn.Server(uvicorn.Config(
        app, http=BoundedProtocol, ws="none", h11_max_incomplete_event_size=MOST_HEADERS,
        timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=5, log_level="error", access_log=False,
    ))  # fmt: skip
