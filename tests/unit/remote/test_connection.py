"""What the connection does when the engine refuses its password."""

from types import SimpleNamespace

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from app.domain.errors import IndexUnavailable
from app.remote.connection import EngineAddress, EngineConnection


class Engine:
    """An engine whose password is replaced while a statement is on its way."""

    def __init__(self) -> None:
        self.password = "old"
        self.before_refusal = lambda: None

    def connect(self, password: str) -> SimpleNamespace:
        def query(sql: str, settings: dict) -> SimpleNamespace:
            if password != self.password:
                self.before_refusal()
                raise DatabaseError("Code: 516. (AUTHENTICATION_FAILED)")
            return SimpleNamespace(result_rows=[(sql,)])

        return SimpleNamespace(query=query, close=lambda: None)


@pytest.fixture
def engine(monkeypatch) -> Engine:
    engine = Engine()
    monkeypatch.setattr(EngineConnection, "_new_client", lambda _, password: engine.connect(password))
    return engine


def test_a_refused_statement_is_repeated_where_another_thread_has_connected_again(engine):
    connection = EngineConnection(EngineAddress("http://engine", "db", read_password=lambda: engine.password))
    connection.query("first")
    engine.password = "new"

    def repeat_in_another_thread() -> None:
        engine.before_refusal = lambda: None
        assert connection.query("other") == [("other",)]

    engine.before_refusal = repeat_in_another_thread
    assert connection.query("second") == [("second",)]


def test_a_password_that_cannot_be_read_is_the_reason():
    def read_password() -> str:
        raise IndexUnavailable("the password cannot be read")

    with pytest.raises(IndexUnavailable, match="the password cannot be read"):
        EngineConnection(EngineAddress("http://engine", "db", read_password=read_password)).query("SELECT 1")


def test_a_password_that_was_not_replaced_is_not_tried_again(engine):
    connection = EngineConnection(EngineAddress("http://engine", "db", read_password=lambda: "old"))
    connection.query("first")
    refusals = []
    engine.password, engine.before_refusal = "new", lambda: refusals.append(1)

    with pytest.raises(IndexUnavailable, match="refuses the user or the password"):
        connection.query("second")
    assert refusals == [1]
