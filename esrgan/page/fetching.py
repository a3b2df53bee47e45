"""A photo by its web address: fetched from public machines alone, within what an upload may have."""

import asyncio
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import unquote

import gradio as gr
import httpx
from gradio_client.utils import strip_invalid_filename_characters
from safehttpx import AsyncSecureTransport, async_validate_url

from .failures import failure
from .limits import MAX_MEGABYTES
from .uploads import make_folder

SECONDS = 30.0
REDIRECTS = 5
UNICAST = IPv6Network("2000::/3")  # what is handed out to machines of the public; all else is a way to others


async def fetch(address: str) -> Path:
    """The file at a web address, in a folder of its own among the uploads.

    Raises:
        gr.Error: it is not there, not public, too large, or takes too long; the message begins with the address.
    """
    try:
        url, content = await asyncio.wait_for(_read(httpx.URL(address)), SECONDS)
    except gr.Error:  # which is a ValueError
        raise
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, asyncio.TimeoutError) as error:
        raise failure(f"{address:.200}: cannot be fetched; save the photo and upload it.") from error
    path = make_folder() / (strip_invalid_filename_characters(Path(unquote(url.path)).name).lstrip(".") or "photo")
    path.write_bytes(content)
    return path


async def _read(url: httpx.URL) -> tuple[httpx.URL, bytes]:
    """Where the redirects end, and what is there."""
    for _ in range(REDIRECTS + 1):
        machine = await async_validate_url(url.host)  # anew for each on the way
        if not is_public(machine):
            raise ValueError(f"{machine} is not public")
        transport = AsyncSecureTransport(machine)
        async with httpx.AsyncClient(transport=transport) as client, client.stream("GET", url) as response:
            if response.has_redirect_location:
                url = url.join(response.headers["Location"])
                continue
            response.raise_for_status()
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_MEGABYTES * 2**20:
                    raise failure(f"{url!s:.200}: has more than {MAX_MEGABYTES} MB.")
            return url, bytes(content)
    raise httpx.TooManyRedirects(f"more than {REDIRECTS} redirects")


def is_public(machine: str) -> bool:
    """Whether an address is one of the public's, which `safehttpx` also says of what providers share or tunnel."""
    address = ip_address(machine)
    if isinstance(address, IPv6Address):
        return address in UNICAST and address.is_global and not (address.sixtofour or address.teredo)
    return address.is_global
