"""Headers that keep browsers from misusing answers; on every answer, refusals and errors too."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DEFAULTS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""For answers that do not set them: answers hold private data, and only the page's are for display."""


def safe_headers(*, has_foreign_pages: bool) -> list[tuple[bytes, bytes]]:
    """Return the default headers, with names in lower case.

    Args:
        has_foreign_pages: Whether pages of other origins may show pictures from here.
    """
    policy = "cross-origin" if has_foreign_pages else "same-origin"
    named = {**_DEFAULTS, "Cross-Origin-Resource-Policy": policy}
    return [(name.lower().encode(), value.encode()) for name, value in named.items()]


class SafeHeaders:
    """Adds the headers that an answer lacks."""

    def __init__(self, app: ASGIApp, *, has_foreign_pages: bool) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            has_foreign_pages: Whether pages of other origins may show pictures from here.
        """
        self._app = app
        self._headers = safe_headers(has_foreign_pages=has_foreign_pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its answer with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [header for header in self._headers if header[0] not in present]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_safely)
