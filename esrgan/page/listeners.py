"""Who still waits for an answer: a program may ask and never listen, and a visitor may go."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TypeVar
from urllib.parse import parse_qs

from gradio.context import LocalContext
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from .failures import failure

PATIENCE = 5.0  # seconds between a question and the opening of the stream in which it is answered

Step = TypeVar("Step")

open_streams: Counter[str] = Counter()  # by the event or the session that is listened to


class StreamCounter:
    """Middleware that counts the open streams of Gradio's answers, and notes when each request came.

    Who goes while sending a photo is no fault of the server's, and leaves no traceback in its log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        scope["asked"] = time.monotonic()
        stream = stream_of(scope)
        if stream is None:
            with suppress(ClientDisconnect):
                await self.app(scope, receive, send)
            return
        open_streams[stream] += 1
        try:
            await self.app(scope, receive, send)
        except RuntimeError as error:  # the stream has said itself that its session is gone
            if not isinstance(error.__cause__, HTTPException):
                raise
        finally:
            open_streams[stream] -= 1
            if not open_streams[stream]:
                del open_streams[stream]


def stream_of(scope: Scope) -> str | None:
    """The session or the event whose answers a request is for; None of any other request."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    path = scope["path"].rstrip("/")
    if path.endswith("/queue/data"):
        return parse_qs(scope["query_string"].decode()).get("session_hash", [None])[0]
    return path.rpartition("/")[2] if "/call/" in path else None


def heard(steps: Iterable[Step]) -> Iterator[Step]:
    """A job's steps while somebody listens to the event that Gradio is working on, or may be about to.

    Raises:
        gr.Error: nobody does.
    """
    for step in steps:
        request = LocalContext.request.get()
        is_late = request and time.monotonic() - request.request.scope["asked"] > PATIENCE
        if is_late and not open_streams.keys() & {request.session_hash, LocalContext.event_id.get()}:
            raise failure(f"Nobody listens: open the stream of the answer within {PATIENCE:g} seconds of asking.")
        yield step
