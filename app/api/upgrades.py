"""Ignore the request for another protocol (``Upgrade``) when parsing requests.

RFC 9110 lets a server ignore ``Upgrade``. Java's HTTP client sends ``Upgrade: h2c`` with every plain request.
"""

from types import SimpleNamespace
from typing import Any, Final

import httptools

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class UpgradeIgnoringParser:
    """httptools' request parser, which also reads the body of a request with ``Upgrade``, and what follows it.

    httptools treats everything behind the head of such a request as data of the other protocol. This class
    then continues with a new parser, which first gets a head with the same framing that the protocol does not
    see.
    """

    def __init__(self, protocol: Any) -> None:
        """Report what is parsed to the callbacks of ``protocol``, a protocol of uvicorn."""
        self._protocol = protocol
        self._is_resuming = False
        self._parser = self._new_parser()

    def feed_data(self, data: bytes) -> None:
        """Parse the next bytes of the connection.

        Raises:
            httptools.HttpParserError: They are malformed, or a callback failed.
            httptools.HttpParserUpgrade: The request is a CONNECT, behind which no request can follow.
        """
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._parser.get_method() == b"CONNECT":
                    raise
                data = data[upgrade.args[0] :]
                self._resume()
                if not data:
                    return
            else:
                return

    def get_http_version(self) -> str:
        """Return the version of the current request."""
        return self._parser.get_http_version()

    def get_method(self) -> bytes:
        """Return the method of the current request."""
        return self._parser.get_method()

    def should_keep_alive(self) -> bool:
        """Return whether the connection may stay open after the current request."""
        return self._parser.should_keep_alive()

    def should_upgrade(self) -> bool:
        """Return False: no upgrade is supported."""
        return False

    def _new_parser(self) -> httptools.HttpRequestParser:
        protocol = self._protocol
        callbacks = SimpleNamespace(
            on_message_begin=self._unless_resuming(protocol.on_message_begin),
            on_url=self._unless_resuming(protocol.on_url),
            on_header=self._unless_resuming(protocol.on_header),
            on_headers_complete=self._unless_resuming(protocol.on_headers_complete),
            on_body=protocol.on_body,
            on_message_complete=self._on_message_complete,
        )
        parser = httptools.HttpRequestParser(callbacks)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _unless_resuming(self, callback: Any) -> Any:
        def called(*arguments: bytes) -> None:
            if not self._is_resuming:
                callback(*arguments)

        return called

    def _on_message_complete(self) -> None:
        if not (self._parser.should_upgrade() and self._framing()):
            self._protocol.on_message_complete()

    def _framing(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of the current request that define the length of its body; none for a CONNECT."""
        if self._parser.get_method() == b"CONNECT":
            return []
        return [(name, value) for name, value in self._protocol.headers if name in _FRAMING]

    def _resume(self) -> None:
        """Start a parser for the bytes behind the head of a request with ``Upgrade``."""
        framing = self._framing()
        self._parser = self._new_parser()
        if not framing:
            return
        lines = b"".join(b"%s: %s\r\n" % header for header in framing)
        self._is_resuming = True
        try:
            # Content-Length: 0 completes the request here.
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + lines + b"\r\n")
        finally:
            self._is_resuming = False
