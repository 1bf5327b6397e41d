"""Browser sessions: a person who signed in with an API key, known by a random token in a cookie.

Only the SHA-256 of a token is stored. A session holds the id of its key and nothing else, so that the key's state,
scopes and limits apply to every request. It ends at the sign-out, when its key is revoked, when nobody uses it for a
while, and at its greatest age.
"""

import hashlib
import hmac
import secrets
import time
from typing import cast

from jobs.connection import connect
from jobs.errors import Unauthenticated
from jobs.job import FrozenModel

MAX_AGE_S = 7 * 24 * 3600
"""A session ends this long after the sign-in, however much it is used."""


class BrowserSession(FrozenModel):
    """The stored record of a session; `expires` is its latest end, in seconds since 1970."""

    key_id: str
    expires: float


class BrowserSessions:
    """The sessions of all people.

    Raises:
        redis.RedisError: Redis cannot be reached.
    """

    def __init__(self, redis_url: str, idle_s: float) -> None:
        self._redis = connect(redis_url)
        self._idle_s = max(int(idle_s), 1)

    def begin(self, key_id: str, cookie: str) -> str:
        """Begin a session and return its token, which is valid only in the cookie with this name."""
        token = secrets.token_urlsafe(32)
        session = BrowserSession(key_id=key_id, expires=time.time() + MAX_AGE_S)
        self._redis.set(_session(cookie, token), session.model_dump_json(), ex=self._idle_s)
        return token

    def key_id(self, cookie: str, token: str) -> str:
        """Return the id of the API key of a session, and prolong the session.

        Raises:
            Unauthenticated: there is no such session, or it has ended.
        """
        data = cast(str | None, self._redis.getex(_session(cookie, token), ex=self._idle_s))
        session = BrowserSession.model_validate_json(data) if data else None
        if session is None or session.expires < time.time():
            raise Unauthenticated("the session has ended; sign in again at /sign-in")
        return session.key_id

    def end(self, cookie: str, token: str) -> None:
        """End a session."""
        self._redis.delete(_session(cookie, token))


def csrf_token(token: str) -> str:
    """Return the CSRF token of a session: it follows from the session's token, which it does not reveal."""
    return hmac.new(token.encode(), b"quantd csrf", hashlib.sha256).hexdigest()


def _session(cookie: str, token: str) -> str:
    return f"qd:session:{hashlib.sha256(f'{cookie}={token}'.encode()).hexdigest()}"
