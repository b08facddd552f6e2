"""What a database does wrong is told in words that say what to mend."""

import pytest
import sqlalchemy as sa

from app.domain.errors import DatabaseUnavailable
from app.store.faults import domain_faults


def test_a_database_that_is_read_only_says_so(tmp_path):
    file = tmp_path / "a.db"
    with sa.create_engine(f"sqlite:///{file}").begin() as connection:
        connection.execute(sa.text("create table t (x)"))
    engine = sa.create_engine(f"sqlite:///file:{file}?mode=ro&uri=true")

    with pytest.raises(DatabaseUnavailable, match="read-only"), domain_faults(), engine.begin() as connection:
        connection.execute(sa.text("insert into t values (1)"))
    engine.dispose()


def test_a_database_file_that_cannot_be_opened_says_so(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/none/a.db")

    with pytest.raises(DatabaseUnavailable, match="cannot be opened"), domain_faults(), engine.connect():
        pass
