"""How the files of the page are cached."""

import os

import pytest

from app.api.routers import page


@pytest.mark.parametrize("path", ["/", "/docs", "/page/style/base.css", "/docs/docs.html"])
def test_a_browser_keeps_a_file_until_it_changes(api, path):
    first = api.client.get(path)

    again = api.client.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-cache"
    assert "last-modified" not in first.headers
    assert "default-src 'self'" in first.headers["content-security-policy"]
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert api.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_file_of_another_version_with_equal_size_and_date_has_another_etag(api, tmp_path):
    """Files installed from a wheel all have one date."""
    file = tmp_path / "module.js"
    tags = []
    for content in ("const a = 1;", "const a = 2;"):
        file.write_text(content)
        os.utime(file, ns=(10**18, 10**18))
        page._etag.cache_clear()  # another version is served by another process
        tags.append(page._file(file, {}).headers["etag"])

    assert tags[0] != tags[1]
