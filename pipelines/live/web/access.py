"""Who may use the page: everybody on this machine, or whoever knows the token."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict

from pipelines.config import UserError

COOKIE = "vad_session"
MIN_TOKEN_LENGTH = 16
SESSION_SEC = 30 * 86_400.0
MAX_SESSIONS = 200  # the oldest one ends


class Access:
    """Tokens and sessions. Both are kept as hashes and compared in constant time.

    Args:
        token: The secret that programs send as ``Authorization: Bearer`` and people type once; None: no secret is asked
            for, which ``serve`` allows on the loopback address only.
        clock: Returns the Unix time.

    Raises:
        UserError: The token is short enough to be guessed.

    Example:
    >>> access = Access("correct horse battery")
    >>> access.login("wrong"), access.knows_session(access.login("correct horse battery"))
    (None, True)
    """

    def __init__(self, token=None, clock=time.time):
        if token is not None and (len(token) < MIN_TOKEN_LENGTH or not token.isprintable()):
            raise UserError(
                f"the token of the web page must have at least {MIN_TOKEN_LENGTH} printable characters. Received: "
                f"{len(token)} characters. `python -c 'import secrets; print(secrets.token_urlsafe())'` makes one."
            )
        self._token = None if token is None else _hashed(token)
        self._clock = clock
        self._sessions = OrderedDict()  # hash of the session id -> when it ends

    @property
    def needs_token(self):
        """Whether a secret is asked for."""
        return self._token is not None

    def is_token(self, text):
        """Whether a text is the token."""
        return self.needs_token and hmac.compare_digest(_hashed(text), self._token)

    def login(self, text):
        """Return the id of a new session for the cookie; None if the text is not the token."""
        if not self.is_token(text):
            return None
        session = secrets.token_urlsafe(32)
        self._sessions[_hashed(session)] = self._clock() + SESSION_SEC
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def logout(self, session):
        """End a session."""
        self._sessions.pop(_hashed(session), None)

    def knows_session(self, session):
        """Whether a session was started here and has not ended."""
        return self._sessions.get(_hashed(session), 0.0) > self._clock()


def _hashed(text):
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
