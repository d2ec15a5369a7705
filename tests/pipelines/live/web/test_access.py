import pytest

from pipelines.config import UserError
from pipelines.live.web.access import MAX_SESSIONS, SESSION_SEC, Access

TOKEN = "sixteen letters!"


def test_only_the_token_starts_a_session():
    access = Access(TOKEN)
    assert [access.login(text) for text in ("", "sixteen letters", TOKEN + " ", TOKEN.upper(), "ü" * 20)] == [None] * 5
    assert access.knows_session(access.login(TOKEN))
    assert not access.knows_session("") and not access.knows_session(TOKEN)


def test_a_session_ends_by_logout_and_after_its_time():
    now = [0.0]
    access = Access(TOKEN, clock=lambda: now[0])
    first, second = access.login(TOKEN), access.login(TOKEN)
    access.logout(first)
    assert not access.knows_session(first) and access.knows_session(second)
    now[0] = SESSION_SEC + 1
    assert not access.knows_session(second)


def test_sessions_do_not_grow_without_end():
    access = Access(TOKEN)
    sessions = [access.login(TOKEN) for _ in range(MAX_SESSIONS + 1)]
    assert not access.knows_session(sessions[0]) and all(map(access.knows_session, sessions[1:]))


def test_a_page_without_a_token_accepts_none():
    access = Access(None)
    assert not access.needs_token and not access.is_token("") and access.login("") is None


@pytest.mark.parametrize("token", ["", "short", "line\nbreaks in here "])
def test_a_token_that_can_be_guessed_is_refused(token):
    with pytest.raises(UserError, match=f"at least 16 printable characters. Received: {len(token)} "):
        Access(token)
