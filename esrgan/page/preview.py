"""What a link to the page looks like where it is shared: a title, a description and a picture of our own."""

import re
from html import escape
from typing import Any

from gradio.route_utils import get_root_url
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .stage import PREVIEW, address

DESCRIPTION = "Enlarge photos of animals 4 times with two AI models, and measure which one comes closer to the photo."
GRADIOS = re.compile(r'<meta\s+(?:property="og:|name="twitter:)[^>]*>')


class LinkPreview:
    """Middleware that writes them into the page's head, in place of Gradio's, which its template puts first.

    Args:
        app: what answers.
        title: of the page.
    """

    def __init__(self, app: ASGIApp, title: str) -> None:
        self.app = app
        self.title = title

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; change the answer if that is the page."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            return await self.app(scope, receive, send)
        begin: dict[str, Any] = {}
        parts: list[bytes] = []

        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                begin.update(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            page = self._rewrite(b"".join(parts).decode(), get_root_url(Request(scope), "/", scope.get("root_path")))
            headers = [(name, value) for name, value in begin["headers"] if name != b"content-length"]
            await send({**begin, "headers": [*headers, (b"content-length", str(len(page)).encode())]})
            await send({"type": "http.response.body", "body": page})

        return await self.app(scope, receive, changed)

    def _rewrite(self, page: str, root: str) -> bytes:
        told = {"title": self.title, "description": DESCRIPTION, "type": "website", "url": root}
        told["image"] = f"{root}/{address(PREVIEW)}"
        lines = [f'<meta property="og:{name}" content="{escape(value)}">' for name, value in told.items()]
        lines += [
            f'<meta name="description" content="{DESCRIPTION}">',
            '<meta name="twitter:card" content="summary_large_image">',
        ]
        return GRADIOS.sub("", page).replace("</head>", "\n".join([*lines, "</head>"]), 1).encode()
