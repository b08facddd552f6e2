"""A typed client of a running service; it imports httpx2 and nothing of the service."""

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Final, Generic, Literal, Self, TypeVar

import httpx2


class ServiceError(Exception):
    """The service answered with a problem, or not at all."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        """Remember the HTTP status (0 without an answer), the stable code and the detail."""
        self.status = status
        self.code = code
        self.detail = detail
        super().__init__(f"{detail} ({code})")


@dataclass(frozen=True, slots=True)
class FileToAdd:
    """A picture to add."""

    name: str
    content: bytes
    image_id: str | None = None
    uri: str | None = None
    metadata: dict[str, Any] | None = None


Document = dict[str, Any]
_STREAM: Final = httpx2.Timeout(60.0)
"""Of an event stream: the service comments at least every 15 s."""
R = TypeVar("R")


class _Calls(ABC, Generic[R]):
    """The calls of both clients: ``R`` is the answer, or what will be awaited for it."""

    @abstractmethod
    def _call(self, method: str, path: str, **request: Any) -> R: ...

    def info(self) -> R:
        """What runs there.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", "/info")

    def search(self, content: bytes, **fields: Any) -> R:
        """Search with a picture's bytes; ``fields`` are the form's (``limit``, ``collection``, ``filter``, …).

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/search", files={"file": ("query", content)}, data=_form(fields))

    def search_like(self, image_id: str, **fields: Any) -> R:
        """Search with a stored picture.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/search", json={"image_id": image_id, **fields})

    def search_text(self, text: str, **fields: Any) -> R:
        """Search with words, such as "dog, grass -cat".

        Raises:
            ServiceError: A word is not understood, or the service did not answer with success.
        """
        return self._call("POST", "/search/query", json={"text": text, **fields})

    def search_examples(self, wanted: Sequence[str], unwanted: Sequence[str] = (), **fields: Any) -> R:
        """Search with stored pictures: near to the ``wanted`` ids, far from the ``unwanted``.

        Raises:
            ServiceError: The service did not answer with success.
        """
        images = [{"image_id": image_id, "sign": "+"} for image_id in wanted]
        images += [{"image_id": image_id, "sign": "-"} for image_id in unwanted]
        return self._call("POST", "/search", json={"images": images, **fields})

    def search_batch(self, image_ids: Sequence[str], **fields: Any) -> R:
        """Search with up to 64 stored pictures at once; each has its own outcome.

        Raises:
            ServiceError: None of them could be searched with, or the service did not answer with success.
        """
        queries = [{"image_id": image_id} for image_id in image_ids]
        return self._call("POST", "/search/batch", json={"queries": queries, **fields})

    def compare(self, first: bytes | str, second: bytes | str, *, collection: str = "default") -> R:
        """Compare two pictures, each the bytes of a file or the id of a stored one.

        Raises:
            ServiceError: The service did not answer with success.
        """
        sides = {"first": first, "second": second}
        files = {name: (name, side) for name, side in sides.items() if isinstance(side, bytes)}
        fields = {name: side for name, side in sides.items() if isinstance(side, str)}
        if not files:
            return self._call("POST", "/compare", json={**fields, "collection": collection})
        return self._call("POST", "/compare", files=files, data={**fields, "collection": collection})

    def duplicates(self, **parameters: Any) -> R:
        """Groups of near pictures; ``parameters`` are ``collection``, ``max_distance``, ``limit``, ``cursor``.

        Raises:
            ServiceError: There are too many pictures, or the service did not answer with success.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._call("GET", "/duplicates", params=given)

    def stats(self, collection: str = "default") -> R:
        """What a collection holds and takes.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", f"/collections/{collection}/stats")

    def calibration(self, collection: str = "default") -> R:
        """What distances mean under a collection's model.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", f"/collections/{collection}/calibration")

    def next_page(self, cursor: str) -> R:
        """The page behind a ``next_cursor``.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/search", json={"cursor": cursor})

    def add(self, files: Sequence[FileToAdd], *, collection: str = "default", on_duplicate: str = "skip") -> R:
        """Add up to 32 pictures.

        Raises:
            ServiceError: None of them could be added, or the service did not answer with success.
        """
        data = {
            "ids": json.dumps([file.image_id for file in files]),
            "uris": json.dumps([file.uri for file in files]),
            "metadata": json.dumps([file.metadata for file in files]),
            "collection": collection,
            "on_duplicate": on_duplicate,
        }
        parts = [("files", (file.name, file.content)) for file in files]
        return self._call("POST", "/index", files=parts, data=data)

    def create_collection(self, name: str, **fields: Any) -> R:
        """Create a collection.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/collections", json={"name": name, **fields})

    def import_archive(self, archive: IO[bytes], *, name: str = "archive", **fields: Any) -> R:
        """Have a zip, tar or tar.gz imported by a job; ``fields``: ``collection``, ``on_duplicate``, ``label``.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/index", files={"archive": (name, archive)}, data=_form(fields))

    def jobs(self, **wanted: Any) -> R:
        """Jobs, the newest first; ``wanted``: ``type``, ``status``, ``collection``, ``limit``, ``cursor``.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", "/jobs", params=_given(wanted))

    def job(self, job_id: str) -> R:
        """A job and how far it is.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", f"/jobs/{job_id}")

    def job_items(self, job_id: str, **wanted: Any) -> R:
        """What became of a job's items; ``wanted``: ``status``, ``limit``, ``cursor``.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", f"/jobs/{job_id}/items", params=_given(wanted))

    def steer_job(self, job_id: str, move: Literal["cancel", "pause", "resume", "retry"]) -> R:
        """Cancel a job, pause it, let it go on, or try again what failed.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", f"/jobs/{job_id}/{move}")

    def models(self) -> R:
        """Models, and which collections use them.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", "/models")

    def model_report(self, name: str) -> R:
        """Everything that is known of a model.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", f"/models/{name}/report")

    def activate_model(self, name: str, **fields: Any) -> R:
        """Search a collection under a model; ``fields``: ``collection``, ``accept_missing``.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", f"/admin/models/{name}/activate", json=fields)

    def roll_back_model(self, collection: str = "default") -> R:
        """Search a collection under the model before the last switch.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/admin/models/rollback", json={"collection": collection})

    def prune_models(self, collection: str = "default") -> R:
        """Give up the codes of every model of a collection but the active one.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/admin/models/prune", json={"collection": collection})

    def compare_models(self, **fields: Any) -> R:
        """Compare two models; ``fields``: ``new``, ``queries``, ``old``, ``limit``, ``collection``.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/admin/models/compare", json=fields)

    def backups(self) -> R:
        """Backups of the service, the newest first.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("GET", "/admin/backups")

    def restore(self, backup: str) -> R:
        """Put a backup in the place of every collection, by a job.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", "/admin/restore", json={"backup": backup})

    def start_job(self, kind: str, **fields: Any) -> R:
        """Start a job of a kind with the fields that ``POST /admin/jobs/{kind}`` takes.

        Raises:
            ServiceError: The service did not answer with success.
        """
        return self._call("POST", f"/admin/jobs/{kind}", json=fields)


class Client(_Calls[Document]):
    """Calls one service and waits for each answer.

    Example:
        >>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
        ...     answer = client.search(open("query.jpg", "rb").read(), limit=5)
        ...     print([(item["id"], item["distance"]) for item in answer["items"]])
    """

    def __init__(self, url: str, *, key: str | None = None, timeout_s: float = 60.0) -> None:
        """Call the service at ``url``, with ``key`` where it needs one."""
        self._http = httpx2.Client(base_url=url, headers=_headers(key), timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def _call(self, method: str, path: str, **request: Any) -> Document:
        try:
            return _document(self._http.request(method, path, **request))
        except httpx2.HTTPError as error:
            raise _no_answer(self._http.base_url, error) from error

    def follow_job(self, job_id: str) -> Iterator[Document]:
        """A job now and whenever it has changed, until it is over.

        Raises:
            ServiceError: The service did not answer with success, or no longer.
        """
        try:
            with self._http.stream("GET", f"/jobs/{job_id}/events", timeout=_STREAM) as answer:
                if answer.is_error:
                    answer.read()
                    raise _service_error(answer)
                yield from (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))
        except httpx2.HTTPError as error:
            raise _no_answer(self._http.base_url, error) from error


class AsyncClient(_Calls[Awaitable[Document]]):
    """Calls one service from an event loop."""

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_s: float = 60.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Call the service at ``url``, or the one behind ``transport``."""
        self._http = httpx2.AsyncClient(
            base_url=url, headers=_headers(key), timeout=timeout_s, transport=transport
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _call(self, method: str, path: str, **request: Any) -> Document:
        try:
            return _document(await self._http.request(method, path, **request))
        except httpx2.HTTPError as error:
            raise _no_answer(self._http.base_url, error) from error

    async def follow_job(self, job_id: str) -> AsyncIterator[Document]:
        """A job now and whenever it has changed, until it is over.

        Raises:
            ServiceError: The service did not answer with success, or no longer.
        """
        try:
            async with self._http.stream("GET", f"/jobs/{job_id}/events", timeout=_STREAM) as answer:
                if answer.is_error:
                    await answer.aread()
                    raise _service_error(answer)
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line[6:])
        except httpx2.HTTPError as error:
            raise _no_answer(self._http.base_url, error) from error


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _no_answer(url: httpx2.URL, error: httpx2.HTTPError) -> ServiceError:
    return ServiceError(0, "no_answer", f"{url} does not answer: {error}")


def _document(answer: httpx2.Response) -> Document:
    if answer.is_error:
        raise _service_error(answer)
    body: Document = answer.json() if answer.content else {}
    return body


def _given(wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if value is not None}


def _form(fields: dict[str, Any]) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in fields.items()
        if value is not None
    }


def _service_error(answer: httpx2.Response) -> ServiceError:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    detail = body.get("detail", answer.reason_phrase)
    errors = "; ".join(f"{entry['pointer']}: {entry['detail']}" for entry in body.get("errors", []))
    return ServiceError(answer.status_code, body.get("code", "error"), f"{detail} {errors}".strip())
