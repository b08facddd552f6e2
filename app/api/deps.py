"""Dependencies of the routers: services, common query parameters, picture URLs and ``If-Match``."""

import re
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import Depends, Header, Query, Request

from app.api.middleware.access import signed_resource
from app.api.public_path import public_path
from app.api.typed_values import BOOLEAN, WHOLE
from app.bootstrap import ServingServices
from app.domain.access import Caller, KeyRecord
from app.domain.errors import FieldError, InvalidRequest

_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9_.~/:@+-]+")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def services_of(request: Request) -> ServingServices:
    """Return the services of the application that a request was sent to."""
    services: ServingServices = request.app.state.services
    return services


# FastAPI runs a dependency that is not a coroutine in another thread, which takes longer than any of these.
async def _services(request: Request) -> ServingServices:
    return services_of(request)


ServicesDep = Annotated[ServingServices, Depends(_services)]


def caller_of(request: Request) -> Caller:
    """Return what the caller of a request may see; everything for a command that calls without a server."""
    caller: Caller = getattr(request.state, "caller", Caller())
    return caller


def key_of(request: Request) -> KeyRecord | None:
    """Return the key that a request was made with, or None."""
    key: KeyRecord | None = getattr(request.state, "key", None)
    return key


async def _caller(request: Request) -> Caller:
    return caller_of(request)


CallerDep = Annotated[Caller, Depends(_caller)]


async def _collection_of_query(
    caller: CallerDep,
    collection: Annotated[str, Query(description="The collection", examples=["default"])] = "default",
) -> str:
    caller.check_collection(collection)
    return collection


async def _collection_of_path(caller: CallerDep, name: str) -> str:
    caller.check_collection(name)
    return name


CollectionDep = Annotated[str, Depends(_collection_of_query)]
"""The query parameter ``collection``, which the caller may use."""
NamedCollectionDep = Annotated[str, Depends(_collection_of_path)]
"""The path parameter ``name``, a collection that the caller may use."""
LimitQuery = Annotated[int, Query(ge=1, le=1000, description="Maximum number of entries of a page"), WHOLE]
CursorQuery = Annotated[str | None, Query(description="``next_cursor`` of the previous page")]


def origin_of(request: Request) -> str:
    """Return scheme, host and port that a request was sent to, such as ``https://pictures.example``.

    Raises:
        InvalidRequest: Its ``Host`` header is not a host.
    """
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise InvalidRequest(errors=[FieldError("/headers/host", "must be a host for absolute_urls")])
    return f"{request.scope['scheme']}://{host}"


class PictureAddresses:
    """URLs of pictures for ``<img>``, which sends no header; signed when keys are in use."""

    def __init__(self, request: Request, *, absolute: bool = False) -> None:
        """Make URLs for the answer to ``request``; absolute ones have the origin that it was sent to."""
        self._root = (origin_of(request) if absolute else "") + public_path(request.scope, "")
        self._signer = services_of(request).signer
        self._key = key_of(request)
        self._shows_originals = caller_of(request).originals

    def thumbnail(self, collection: str, image_id: str, size: int = 256) -> str:
        """Return the URL of a thumbnail of at most ``size`` × ``size`` pixels."""
        return self._address("thumbnail", collection, image_id, f"size={size}")

    def content(self, collection: str, image_id: str) -> str | None:
        """Return the URL of the original file."""
        return self._address("content", collection, image_id) if self._shows_originals else None

    def _address(self, kind: str, collection: str, image_id: str, *parameters: str) -> str:
        path = f"/images/{image_id}/{kind}"
        query = list(parameters)
        if collection != "default":
            query.insert(0, f"collection={quote(collection)}")
        if self._key is not None:
            query.append(self._signer.sign_path(signed_resource(path, collection), self._key))
        # Most ids need no quoting, and to find that out by `quote` takes longer than the rest of this method.
        quoted = path if _PLAIN_PATH.fullmatch(path) else quote(path, safe="/:@+")
        return self._root + quoted + ("?" + "&".join(query) if query else "")


AbsoluteUrlsQuery = Annotated[
    bool, Query(description="Whether URLs of pictures in the answer have scheme and host"), BOOLEAN
]


async def _addresses(request: Request, absolute_urls: AbsoluteUrlsQuery = False) -> PictureAddresses:
    return PictureAddresses(request, absolute=absolute_urls)


PictureAddressesDep = Annotated[PictureAddresses, Depends(_addresses)]


async def _revision(
    if_match: Annotated[str | None, Header(description="ETag of the version to change")] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    tag = re.fullmatch(r'"(\d{1,18})"', if_match.strip())
    if tag is None:
        # A 412 would be correct too, but a malformed header is more likely a mistake.
        raise InvalidRequest(errors=[FieldError("/headers/if-match", 'must be an ETag such as "3", or *')])
    return int(tag.group(1))


RevisionDep = Annotated[int | None, Depends(_revision)]


def etag_of(revision: int) -> str:
    """Return the ETag of a stored picture's record."""
    return f'"{revision}"'
