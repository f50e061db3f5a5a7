"""The process that reads an SQLite file by ADBC and writes Arrow batches to its standard output.

ADBC has a copy of SQLite of its own. Two copies in one process drop each other's file locks, and another process would
then remove the write-ahead log that is in use. Locks of another process are not touched.
"""

import json
import sys
from pathlib import Path

import adbc_driver_sqlite
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement  # its `dbapi` loads pandas
from pyarrow import ipc

OTHER_STATE = 3
"""Exit status: another process has committed since the requested state."""

_BATCH_ROWS = "16384"


def main() -> int:
    """Read the request from the standard input, and write the rows if the file has the requested state."""
    request = json.load(sys.stdin)
    # Nothing is closed: the process ends after the read.
    database = adbc_driver_sqlite.connect(Path(request["file"]).as_uri() + "?mode=ro")
    connection = AdbcConnection(database)
    connection.set_autocommit(False)
    # The first read fixes the state that the transaction sees.
    found = _read(connection, request["counter"]).read_all().column(0).to_pylist()
    if found != ([] if request["expected"] is None else [request["expected"]]):
        return OTHER_STATE
    reader = _read(connection, request["query"])
    with ipc.new_stream(sys.stdout.buffer, reader.schema) as stream:
        for batch in reader:
            stream.write_batch(batch)
    sys.stdout.flush()
    return 0


def _read(connection: AdbcConnection, query: str) -> pa.RecordBatchReader:
    statement = AdbcStatement(connection)
    statement.set_options(**{"adbc.sqlite.query.batch_rows": _BATCH_ROWS})
    statement.set_sql_query(query)
    handle, _ = statement.execute_query()
    return pa.RecordBatchReader.from_stream(handle)


if __name__ == "__main__":
    sys.exit(main())
