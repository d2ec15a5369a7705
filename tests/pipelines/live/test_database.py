"""The SQLite file: migrations, transactions, threads."""

import sqlite3
import threading

import pytest

from pipelines.config import UserError
from pipelines.live.database import Database

MIGRATIONS = ("CREATE TABLE one (x); CREATE INDEX by_x ON one (x)", "ALTER TABLE one ADD COLUMN y DEFAULT 7")


def test_an_older_schema_is_brought_up_to_date_and_keeps_its_rows(tmp_path):
    older = Database(tmp_path / "a.sqlite", MIGRATIONS[:1])
    with older.transaction() as connection:
        connection.execute("INSERT INTO one VALUES (1)")
    older.close()
    newer = Database(tmp_path / "a.sqlite", MIGRATIONS)
    assert [tuple(row) for row in newer.read("SELECT x, y FROM one")] == [(1, 7)]
    assert newer.read("PRAGMA user_version")[0][0] == 2 and newer.read("PRAGMA journal_mode")[0][0] == "wal"
    newer.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path):
    Database(tmp_path / "a.sqlite", MIGRATIONS).close()
    before = (tmp_path / "a.sqlite").read_bytes()
    with pytest.raises(UserError, match="schema 2 of a newer version of vad-keras; this one knows schemas up to 1"):
        Database(tmp_path / "a.sqlite", MIGRATIONS[:1])
    assert (tmp_path / "a.sqlite").read_bytes() == before


def test_a_failed_migration_leaves_the_older_schema(tmp_path):
    Database(tmp_path / "a.sqlite", MIGRATIONS[:1]).close()
    with pytest.raises(UserError, match="cannot be opened as a database"):
        Database(tmp_path / "a.sqlite", (MIGRATIONS[0], "CREATE TABLE two (x); CREATE TABLE two (x)"))
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert not connection.execute("SELECT * FROM sqlite_master WHERE name = 'two'").fetchall()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"frame,score\n" * 100)
    with pytest.raises(UserError, match="cannot be opened as a database"):
        Database(tmp_path / "a.sqlite", MIGRATIONS)


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    database = Database(tmp_path / "a.sqlite", MIGRATIONS)
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute("INSERT INTO one (x) VALUES (1)")
        _ = 1 / 0
    assert database.read("SELECT * FROM one") == []
    database.close()


def test_threads_write_and_read_at_the_same_time(tmp_path):
    database, seen = Database(tmp_path / "a.sqlite", MIGRATIONS), []

    def write(number):
        for _ in range(20):
            with database.transaction() as connection:
                connection.execute("INSERT INTO one (x) VALUES (?)", (number,))
            seen.append(database.read("SELECT count(*) FROM one")[0][0])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.read("SELECT count(*) FROM one")[0][0] == 80 and len(seen) == 80
    with database.transaction():
        pass
    thread = threading.Thread(target=lambda: database.read("SELECT 1"))
    thread.start()
    thread.join()
    assert len(database._connections) <= 2, "connections of ended threads are closed"
    database.close()
