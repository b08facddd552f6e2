"""Authorise requests from their head alone, before any of the body is read."""

import ipaddress
import re
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.callers import address_of
from app.api.middleware.credentials import key_text
from app.api.middleware.refusal import STRANGER_DRAIN_BYTES, declared_length, refuse
from app.api.middleware.scopes import is_open, is_signable, needed_scope
from app.api.problems import problem_of
from app.api.public_path import public_path
from app.bootstrap import ServingServices
from app.domain import access
from app.domain.access import KeyRecord
from app.domain.errors import Forbidden, LookalikeError, Unauthenticated
from app.services.access.keyring import Keyring
from app.services.access.signing import Session, Signer

SESSION_COOKIE: Final = "lookalike_session"

SIGNATURE_PARAMETERS: Final = frozenset({"expires", "key", "signature"})
_OF_PROXIES: Final = re.compile(r"forwarded|via|x-real-ip|x-forwarded-.*")
"""Headers that proxies set."""
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Access:
    """Checks keys, the page's cookie and signed URLs; before the first key exists, the settings decide.

    FastAPI's dependencies run after the body was read; a check there would first receive a whole upload.
    """

    def __init__(
        self, app: ASGIApp, *, unkeyed_loopback: bool, unkeyed_anywhere: bool, trusted: frozenset[str]
    ) -> None:
        """Wrap ``app``.

        Args:
            app: The next layer.
            unkeyed_loopback: Whether direct calls from this machine need no key while none exists.
            unkeyed_anywhere: Whether no call needs a key while none exists.
            trusted: Origins whose pages may write.
        """
        self._app = app
        self._unkeyed_loopback = unkeyed_loopback
        self._unkeyed_anywhere = unkeyed_anywhere
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 403, or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if is_open(scope["path"]) or scope["method"] == "OPTIONS":
            # Without asking the database, so that the liveness probe does not depend on it.
            scope["state"]["key"] = None
            await self._app(scope, receive, _without_rest_of_body(scope, send))
            return
        services: ServingServices = scope["app"].state.services
        try:
            await services.keyring.refresh()
            key = scope["state"]["key"] = await self._slowly_decide(scope, services)
            scope["state"]["caller"] = access.Caller() if key is None else key.caller
            if key is not None:
                services.keyring.note_use(key)
        except LookalikeError as error:
            refusal = problem_of(error, instance=public_path(scope), request_id=scope["state"]["request_id"])
            await refuse(refusal, scope, receive, send)
            return
        if key is None and services.keyring.in_use:
            send = _without_rest_of_body(scope, send)
        await self._app(scope, receive, send)

    async def _slowly_decide(self, scope: Scope, services: ServingServices) -> KeyRecord | None:
        """Decide, and hold up an address that sends many wrong keys.

        Raises:
            Unauthenticated: As for ``_decide``.
            Forbidden: As for ``_decide``.
            RateLimited: Too many wrong keys came from this address.
        """
        address = address_of(scope)
        try:
            key = self._decide(scope, services.keyring, services.signer)
        except Unauthenticated:
            # A browser goes on sending the cookie of a session that is over, so cookies do not count.
            if key_text(Headers(scope=scope)) is not None:
                await services.key_guesses.failed(address)
            raise
        except Forbidden:
            # This answer tells that the key is valid, too.
            known = services.keyring.find(key_text(Headers(scope=scope)) or "")
            if known is not None:
                await services.key_guesses.succeeded(address, known.id)
            raise
        if key is not None:
            await services.key_guesses.succeeded(address, key.id)
        return key

    def _decide(self, scope: Scope, keyring: Keyring, signer: Signer) -> KeyRecord | None:
        """Return the key of a request; None for one that needs no key.

        Raises:
            Unauthenticated: The request needs a valid key and has none.
            Forbidden: The key lacks the scope, or a page of another origin tries to write.
        """
        headers = Headers(scope=scope)
        needed = needed_scope(scope["method"], scope["path"])
        text = key_text(headers)
        if text is None and not keyring.in_use and (self._unkeyed_anywhere or self._unkeyed_loopback):
            if not self._unkeyed_anywhere:
                _refuse_indirect_calls(scope, headers)
            self._refuse_foreign_pages(scope, headers)
            return None
        if text is not None:
            key = keyring.find(text)
            if key is None:
                raise Unauthenticated("this key is not valid")
        elif needed is None:
            return None
        else:
            key = _signers_key(scope, keyring, signer)
        if key is None:
            session = session_of(headers, keyring, signer)
            if session is None:
                raise Unauthenticated
            key = session.key
            self._refuse_foreign_pages(scope, headers)
        if needed is not None and not key.scope.allows(needed):
            raise Forbidden(f"this key has the scope {key.scope.value!r}; the request needs {needed.value!r}")
        return key

    def _refuse_foreign_pages(self, scope: Scope, headers: Headers) -> None:
        """Refuse writes from pages of other origins, which a browser sends with its cookie or to loopback."""
        origin = headers.get("origin")
        if origin is None or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            return
        if _host_of(origin) != headers.get("host") and origin not in self._trusted:
            raise Forbidden(f"pages of {origin} may not call this service")


def _without_rest_of_body(scope: Scope, send: Send) -> Send:
    """Return a ``send`` that ends the connection with the answer if the caller's body may be large.

    What anyone may call reads no body. Otherwise the server would continue to receive it after the answer.
    """
    headers = Headers(scope=scope)
    length = declared_length(headers)
    if "transfer-encoding" not in headers and (length is None or length <= STRANGER_DRAIN_BYTES):
        return send

    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return send_last


def _refuse_indirect_calls(scope: Scope, headers: Headers) -> None:
    """Let only programs on this machine call without a key.

    A proxy on this machine calls from loopback on behalf of others. A foreign name that resolves to loopback
    would let a page of another site read the answers (DNS rebinding).

    Raises:
        Unauthenticated: The call comes from another machine, or through a proxy.
        Forbidden: The Host header is not a loopback name.
    """
    if not _is_loopback(scope["client"]) or any(map(_OF_PROXIES.fullmatch, headers.keys())):
        raise Unauthenticated(
            "without a key this service answers only direct calls from its own machine: make a key with "
            "`lookalike keys create`"
        )
    if re.sub(r":\d+$", "", headers.get("host", "")) not in _LOOPBACK_NAMES:
        raise Forbidden("without keys this service answers by its loopback names only")


def _is_loopback(client: tuple[str, int] | None) -> bool:
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def session_of(headers: Headers, keyring: Keyring, signer: Signer) -> Session | None:
    """Return the session of a request's cookie, or None."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    except CookieError:
        return None
    return None if morsel is None else signer.open_session(morsel.value, keyring)


def _signers_key(scope: Scope, keyring: Keyring, signer: Signer) -> KeyRecord | None:
    """Return the key that signed the URL of a request; None if the URL is not validly signed."""
    if scope["method"] not in {"GET", "HEAD"} or not is_signable(scope["path"]):
        return None
    # Parsed as the routes parse it; repeated parameters were refused before.
    query = QueryParams(scope["query_string"])
    key = keyring.by_id(query.get("key", ""))
    if key is None or not query.keys() >= SIGNATURE_PARAMETERS:
        return None
    resource = signed_resource(scope["path"], query.get("collection", "default"))
    return key if signer.path_is_signed(resource, query["expires"], query["signature"], key) else None


def signed_resource(path: str, collection: str) -> str:
    """Return the text that the signature of a URL covers."""
    return f"{path.removeprefix('/v1')}?collection={collection}"
