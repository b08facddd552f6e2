"""Any text is a cursor of ours or an invalid one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidCursor
from app.services.access.signing import Signer

SIGNER = Signer(b"secret" * 6, signature_lifetime_s=60, session_lifetime_s=60)
SEALED = SIGNER.seal_list_cursor("images shop", 7)


def test_a_cursor_of_ours_is_opened():
    assert SIGNER.open_list_cursor("images shop", SEALED) == 7


@given(st.text() | st.text("ABCabc019_-.=", max_size=200))
def test_no_other_text_is_a_cursor(text):
    for open_cursor in (SIGNER.open_search_cursor, lambda given: SIGNER.open_list_cursor("images shop", given)):
        with pytest.raises(InvalidCursor):
            open_cursor(text)


@given(st.integers(0, len(SEALED) - 1), st.sampled_from("ABCabc019_-=é"))
def test_a_changed_cursor_is_invalid(at, character):
    changed = SEALED[:at] + character + SEALED[at + 1 :]
    if changed == SEALED:
        return
    with pytest.raises(InvalidCursor):
        SIGNER.open_list_cursor("images shop", changed)
    with pytest.raises(InvalidCursor):
        SIGNER.open_list_cursor("images other", SEALED)
