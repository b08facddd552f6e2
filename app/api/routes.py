"""The routes of the API, made once per process."""

from functools import cache
from typing import Final

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from app.api.forms import refuse_repeated_keys
from app.api.query_parameters import refuse_unknown_parameters
from app.api.routers import (
    admin_jobs,
    admin_models,
    backups,
    batch,
    collections,
    compare,
    duplicates,
    images,
    index,
    jobs,
    keys,
    models,
    search,
    system,
    verdicts,
)

_ROUTERS: Final = (
    search,
    batch,
    compare,
    duplicates,
    verdicts,
    index,
    images,
    collections,
    models,
    admin_models,
    keys,
    backups,
    jobs,
    admin_jobs,
    system,
)
"""In the order of the OpenAPI document."""

_FREQUENT: Final = (search, system, images)
"""Routers to try first, since routes are tried in order."""


async def _check_request(request: Request) -> None:
    """Refuse what no route understands; one dependency, since FastAPI takes .03 ms to resolve each.

    Raises:
        InvalidRequest: A query parameter is undocumented, or the JSON body repeats a key.
    """
    await refuse_unknown_parameters(request)
    await refuse_repeated_keys(request)


@cache
def api_routes() -> tuple[BaseRoute, ...]:
    """Return the routes of all operations, under their short paths and under ``/v1``.

    All applications of a process share them: FastAPI resolves the parameters of a route when it first matches,
    which takes a tenth of a second for all of them.
    """
    api = APIRouter(dependencies=[Depends(_check_request)])
    routers = [part.router for part in dict.fromkeys((*_FREQUENT, *_ROUTERS))]
    for router in routers:
        api.include_router(router)
    # Behind all the short paths.
    for router in routers:
        api.include_router(router, prefix="/v1", include_in_schema=False)
    return tuple(api.routes)


def routes_of_operations() -> list[APIRoute]:
    """Return the route of each operation, without the prefix ``/v1``."""
    return [route for part in _ROUTERS for route in part.router.routes if isinstance(route, APIRoute)]
