"""Users by name.  See passwd(5)."""

from __future__ import annotations

import functools


@functools.cache
def user_name(uid: int) -> str:
    """A user's name; the number where there is none (getpwuid(3))."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
