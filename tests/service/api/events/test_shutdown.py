"""A server process with open streams ends within two seconds of the signal, without error output."""

import json
import signal
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.api.event_stream import listening
from tests.support.api_process import start_api


def test_a_process_with_open_streams_ends_within_two_seconds(filled_file: Path) -> None:
    with start_api(filled_file) as process, ExitStack() as stack:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            streams = [stack.enter_context(listening(url)) for _ in range(5)]
            assert {stream.next().kind for stream in streams} == {"status"}
            begin = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
            assert time.monotonic() - begin < 2.0
            assert process.returncode in (0, -signal.SIGTERM, 143)
            assert errors == ""
        finally:
            process.kill()
