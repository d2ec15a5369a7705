"""An SQLite file for several threads and processes, which a killed process leaves whole, and its migrations."""

import contextlib
import sqlite3
import threading
from pathlib import Path

from pipelines.config import UserError

BUSY_SEC = 30.0  # how long a writer waits for another one


class Database:
    """An SQLite file in WAL mode, with one connection per thread.

    Readers never wait for a writer. A transaction is there as a whole or not at all, whatever kills the process; a
    power failure may lose the last seconds, never the file.

    Args:
        path: The file; it is created with its folder.
        migrations: SQL scripts. Script ``n`` turns schema ``n`` into ``n + 1``; a new file has schema 0. They are only
            ever appended to. ``PRAGMA user_version`` holds the schema of a file.

    Raises:
        UserError: The file is of a newer version, or no database.
    """

    def __init__(self, path, migrations):
        self.path, self._own = Path(path), threading.local()
        self._connections, self._lock = {}, threading.Lock()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._migrate(migrations)
        except sqlite3.DatabaseError as error:
            self.close()
            raise UserError(
                f"{self.path} cannot be opened as a database ({error}). Move it away to begin with an empty one."
            ) from None

    def read(self, sql, values=()):
        """Return the rows of a query."""
        return self._connection().execute(sql, values).fetchall()

    @contextlib.contextmanager
    def transaction(self):
        """Yield the connection of this thread; what the block writes is there when it ends, or nothing of it."""
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    def close(self):
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()
        self._own = threading.local()

    def _connection(self):
        connection = getattr(self._own, "connection", None)
        if connection is None:
            # A transaction begins where `transaction` says; close() may run in another thread.
            connection = sqlite3.connect(self.path, BUSY_SEC, isolation_level=None, check_same_thread=False)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            with self._lock:
                for thread in [thread for thread in self._connections if not thread.is_alive()]:
                    self._connections.pop(thread).close()
                self._connections[threading.current_thread()] = connection
            self._own.connection = connection
        return connection

    def _migrate(self, migrations):
        with self.transaction() as connection:  # a second process waits here and then finds nothing to do
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(migrations):
                raise UserError(
                    f"{self.path} has schema {version} of a newer version of vad-keras; this one knows schemas up to "
                    f"{len(migrations)}. Update vad-keras, or use another folder."
                )
            for script in migrations[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(migrations)}")
