"""Dependencies of the routers: services, common query parameters, picture URLs and ``If-Match``."""

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Header, Query, Request

from app.api.middleware.access import signed_resource
from app.bootstrap import ServingServices
from app.domain.errors import FieldError, InvalidRequest


def _services_of(request: Request) -> ServingServices:
    services: ServingServices = request.app.state.services
    return services


# FastAPI runs a dependency that is not a coroutine in another thread, which takes longer than any of these.
async def _services(request: Request) -> ServingServices:
    return _services_of(request)


ServicesDep = Annotated[ServingServices, Depends(_services)]
CollectionQuery = Annotated[str, Query(description="The collection", examples=["default"])]
LimitQuery = Annotated[int, Query(ge=1, le=1000)]
CursorQuery = Annotated[str | None, Query(description="``next_cursor`` of the previous page")]


class PictureAddresses:
    """URLs of pictures for ``<img>``, which sends no header; signed when keys are in use."""

    def __init__(self, request: Request) -> None:
        """Make URLs for the answer to ``request``."""
        services = _services_of(request)
        self._signer = services.signer if services.keyring.in_use else None

    def thumbnail(self, collection: str, image_id: str, size: int = 256) -> str:
        """Return the URL of a thumbnail of at most ``size`` × ``size`` pixels."""
        return self._address("thumbnail", collection, image_id, f"size={size}")

    def content(self, collection: str, image_id: str) -> str:
        """Return the URL of the original file."""
        return self._address("content", collection, image_id)

    def _address(self, kind: str, collection: str, image_id: str, *parameters: str) -> str:
        path = f"/images/{image_id}/{kind}"
        query = list(parameters)
        if collection != "default":
            query.insert(0, f"collection={quote(collection)}")
        if self._signer is not None:
            query.append(self._signer.sign_path(signed_resource(path, collection)))
        return quote(path, safe="/:@+") + ("?" + "&".join(query) if query else "")


async def _addresses(request: Request) -> PictureAddresses:
    return PictureAddresses(request)


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
