"""Any bytes are a form or a refusal, whatever pieces they arrive in."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app.api.forms import read_form

BOUNDARY = b"xx"
PIECES = st.sampled_from(
    [
        b"--xx\r\n", b"--xx--\r\n", b"--xx", b"\r\n", b"\n", b"\r", b"--", b"x", b"\x00", b"\xff",
        b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
        b'Content-Disposition: form-data; name="limit"\r\n\r\n',
        b"Content-Disposition: form-data; name=file; filename*=utf-8''%e2%82%ac\r\n\r\n",
        b"Content-Disposition: form-data\r\n\r\n", b"Content-Type: \xff\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b": \r\n", b"A" * 5_000,
    ]
)  # fmt: skip


@given(st.lists(PIECES | st.binary(max_size=30), max_size=30), st.integers(1, 50))
def test_any_body_is_a_form_or_400(parts, size):
    body = b"".join(parts)
    refusals = []

    async def parse() -> None:
        chunks = [body[i : i + size] for i in range(0, len(body), size)] or [b""]
        messages = iter(
            {"type": "http.request", "body": chunk, "more_body": i < len(chunks) - 1}
            for i, chunk in enumerate(chunks)
        )

        async def receive():
            return next(messages)

        scope = {
            "type": "http", "method": "POST", "path": "/search", "query_string": b"",
            "headers": [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)],
        }  # fmt: skip
        try:
            async with read_form(Request(scope, receive), files=("file",), max_files=2) as form:
                assert len(form.multi_items()) <= 66
        except HTTPException as error:
            refusals.append(error)

    asyncio.run(parse())
    assert all(error.status_code == 400 and error.detail for error in refusals)
