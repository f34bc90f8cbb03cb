"""Identity of the embedded PostgreSQL: the account under which it runs, as it refuses root.

For an ordinary user it is the user. For root it is an account without rights,
`postgres` or `nobody`; and where that account could not enter the folders on
the way (a checkout under /root), it is given the one capability to do so: the
permissions of the user's folders stay as they are.
"""

import contextlib
import os
import pwd
import shutil
import stat
from pathlib import Path
from typing import Any


class Identity:
    """`arguments` are for `Popen`, `prefix` precedes the command."""

    def __init__(self, account: pwd.struct_passwd | None = None, prefix: list[str] | None = None) -> None:
        self._account = account
        self.prefix = prefix or []
        self.arguments: dict[str, Any] = {}
        if account is not None and not prefix:
            self.arguments = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def own(self, folder: Path) -> None:
        if self._account is not None:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)


def unprivileged(folder: Path, binaries: Path) -> Identity:
    """An account that may run the programs in `binaries` on the data in `folder`, both absolute.

    Raises:
        PermissionError: the server runs as root and no other account can.
    """
    if os.geteuid() != 0:
        return Identity()
    account = _account_for(folder)
    closed = _closed_folder(folder.parent) or _closed_folder(binaries)
    if closed is None:
        return Identity(account)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PermissionError(
            f"it does not run as root, and the account {account.pw_name} cannot enter {closed}; "
            "start the server as an ordinary user, or set BOT4_DATABASE_URL"
        )
    prefix = [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return Identity(account, [*prefix, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"])


def _account_for(folder: Path) -> pwd.struct_passwd:
    """The owner of the data; for new data an account that every machine has."""
    with contextlib.suppress(FileNotFoundError, KeyError):
        owner = folder.stat().st_uid
        if owner != 0:
            return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PermissionError("it does not run as root; start the server as an ordinary user")


def _closed_folder(path: Path) -> Path | None:
    """The first folder on the way, the last one included, that other accounts cannot enter."""
    path = path.resolve()
    for folder in (*reversed(path.parents), path):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None
