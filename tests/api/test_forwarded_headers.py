"""Which client, scheme, host and prefix follow from the headers of proxies."""

from ipaddress import ip_address, ip_network

import pytest
from starlette.datastructures import Headers

from app.api.middleware.forwarded_headers import Forwarded, parse_node, read_forwarded

TRUSTED = [ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def read(*lines: tuple[str, str]) -> Forwarded:
    headers = Headers(raw=[(name.encode(), value.encode()) for name, value in lines])
    return read_forwarded(headers, lambda address: any(address in network for network in TRUSTED))


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:4711", ("192.0.2.1", 4711)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("::ffff:192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:_hidden", ("192.0.2.1", 0)),
        ("[2001:db8::1]x", None),
        ("[2001:db8::1", None),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("pictures.example", None),
        ("192.0.2.256", None),
    ],
)
def test_an_address_is_read_in_every_form_that_proxies_write(text, node):
    assert parse_node(text) == (None if node is None else (ip_address(node[0]), node[1]))


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ([("x-forwarded-for", "192.0.2.1")], ("192.0.2.1", 0)),
        ([("x-forwarded-for", "192.0.2.1:4711")], ("192.0.2.1", 4711)),
        ([("x-forwarded-for", "[2001:db8::1]:4711")], ("2001:db8::1", 4711)),
        ([("x-forwarded-for", "::ffff:192.0.2.1")], ("192.0.2.1", 0)),
        # What a client wrote itself is left of what the proxies appended.
        ([("x-forwarded-for", "198.51.100.9, 192.0.2.1")], ("192.0.2.1", 0)),
        ([("x-forwarded-for", "198.51.100.9, 192.0.2.1, 10.0.0.7")], ("192.0.2.1", 0)),
        ([("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "192.0.2.1, fd00::7")], ("192.0.2.1", 0)),
        ([("x-forwarded-for", "10.0.0.8, 10.0.0.7")], ("10.0.0.8", 0)),
        ([("x-forwarded-for", "192.0.2.1, unknown")], None),
        ([("x-forwarded-for", "192.0.2.1, unknown, 10.0.0.7")], ("10.0.0.7", 0)),
        ([("forwarded", "for=192.0.2.1;proto=https")], ("192.0.2.1", 0)),
        ([("forwarded", 'For="[2001:db8::1]:4711"; by=10.0.0.1')], ("2001:db8::1", 4711)),
        ([("forwarded", "for=198.51.100.9, for=192.0.2.1"), ("forwarded", "for=10.0.0.7")], ("192.0.2.1", 0)),
        ([("forwarded", 'for="198.51.100.9, for=10.0.0.7", for=192.0.2.1')], ("192.0.2.1", 0)),
        ([("forwarded", "proto=https")], None),
        ([("forwarded", '"""",;=for')], None),
        ([("forwarded", 'for=192.0.2.1; , ,for="10.0.0.7" ;by=_x,')], ("192.0.2.1", 0)),
        # A client's open quote must not swallow what the proxy appends.
        ([("forwarded", 'for=198.51.100.9;x=", for="[2001:db8::1]"')], None),
        ([("forwarded", 'for=198.51.100.9;x="'), ("forwarded", "for=192.0.2.1")], None),
        # A client's own header that the proxy did not set but passed on.
        ([("forwarded", "for=198.51.100.9"), ("x-forwarded-for", "192.0.2.1")], ("192.0.2.1", 0)),
        ([("forwarded", "for=198.51.100.9"), ("x-forwarded-proto", "https")], None),
        ([], None),
    ],
)
def test_the_client_is_the_first_address_from_the_right_that_is_no_proxy(lines, client):
    assert read(*lines).client == client


@pytest.mark.parametrize(
    ("lines", "scheme", "host", "prefix"),
    [
        ([("x-forwarded-proto", "https")], "https", None, None),
        (
            [("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "a.example:8443")],
            "https",
            "a.example:8443",
            None,
        ),
        ([("x-forwarded-host", "[2001:db8::1]:8443")], None, "[2001:db8::1]:8443", None),
        ([("x-forwarded-prefix", "/pictures/")], None, None, "/pictures"),
        ([("x-forwarded-prefix", "/a/b-c.d_e~1")], None, None, "/a/b-c.d_e~1"),
        # The entries of the proxy that named the client, not those that the client wrote.
        (
            [("x-forwarded-for", "9.9.9.9, 192.0.2.1"), ("x-forwarded-proto", "https, http")],
            "http",
            None,
            None,
        ),
        (
            [
                ("x-forwarded-for", "192.0.2.1, 10.0.0.7"),
                ("x-forwarded-proto", "https, http"),
                ("x-forwarded-host", "pictures.example, inner"),
            ],
            "https",
            "pictures.example",
            None,
        ),
        ([("forwarded", 'for=192.0.2.1;proto=https;host="a.example"')], "https", "a.example", None),
        ([("forwarded", "proto=https"), ("x-forwarded-host", "a.example")], None, "a.example", None),
        # Nothing that could end up as another address.
        ([("x-forwarded-proto", "javascript"), ("x-forwarded-host", "a/b")], None, None, None),
        ([("x-forwarded-host", "user@evil.example")], None, None, None),
        ([("x-forwarded-prefix", "//evil.example")], None, None, None),
        ([("x-forwarded-prefix", "/a/../b")], None, None, None),
        ([("x-forwarded-prefix", "/a?b")], None, None, None),
        ([("x-forwarded-prefix", "/")], None, None, None),
    ],
)
def test_scheme_host_and_prefix_come_from_the_same_proxy_and_are_checked(lines, scheme, host, prefix):
    found = read(*lines)

    assert (found.scheme, found.host, found.prefix) == (scheme, host, prefix)


@pytest.mark.parametrize("text", ["a" * 300_000, '"' + '\\"' * 150_000, " " * 300_000, "a=" * 150_000])
def test_a_malformed_header_is_refused_in_one_pass(text):
    # A parser that goes back at each character would take minutes.
    assert read(("forwarded", text)) == Forwarded()
