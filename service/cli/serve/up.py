"""`tplus up` and `tplus schedule`: run the whole service, or its scheduler alone."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from service.access.listening import check_keys
from service.app import UNTIL_EOF, bind
from service.bootstrap import open_service
from service.cli.common import echo, reporter_for_output
from service.clock import minute_text
from service.db.session import display_url
from service.log_config import configure_logs
from service.runtime.context import ServiceContext
from service.runtime.progress import Reporter
from service.scheduler.loop import Scheduler
from service.settings import Settings, load_settings

API_RESTART_SECONDS = 2.0
API_END_SECONDS = 25.0
SHUTDOWN_SECONDS = 30.0
"""How long current work may continue after `tplus schedule` is stopped."""

app = typer.Typer()


@app.command("up")
def up() -> None:
    """Migrate the database, then run scheduler, forecasting worker and API until Ctrl-C."""
    settings = _settings()
    bind(settings.host, settings.port).close()  # report a taken port before anything is created
    reporter = reporter_for_output()
    # The page answers while the database is made: until then every answer says what is missing.
    with _api(reporter), open_service(settings, reporter) as context:
        check_keys(settings, context.database)
        _greet(context)
        _run_until_signal(Scheduler(context))
    echo("stopped; run again to resume")


@app.command("schedule")
def schedule() -> None:
    """Run only the scheduler and its forecasting worker."""
    settings = _settings()
    with open_service(settings, reporter_for_output()) as context:
        echo(f"database {display_url(context.database)}, source {context.source.name}, clock {settings.clock}")
        _run_until_signal(Scheduler(context), SHUTDOWN_SECONDS)


def _settings() -> Settings:
    settings = load_settings()
    configure_logs(settings.log_level, sys.stdout)
    return settings


def _greet(context: ServiceContext) -> None:
    settings = context.settings
    echo(f"dashboard at http://{settings.host}:{settings.port}/, API documentation at /docs; Ctrl-C stops it")
    echo(f"source {context.source.name}, clock {settings.clock}, database {display_url(context.database)}")
    if settings.market_clock.mode == "replay":
        now = context.market_now()
        echo(f"replayed market time is {minute_text(now)}; forecasts are as of that day, not of today")


def _run_until_signal(scheduler: Scheduler, limit_seconds: float | None = None) -> None:
    """Run until a signal; work that then takes longer than the limit is left to the next scheduler."""

    def leave() -> None:
        sys.stderr.write(f"current work did not end within {limit_seconds:.0f} s; it is left to the next scheduler\n")
        sys.stderr.flush()
        os._exit(1)

    def end(_number: int, _frame: FrameType | None) -> None:
        scheduler.stop()
        if limit_seconds is not None and not timers:
            timers.append(threading.Timer(limit_seconds, leave))
            timers[0].daemon = True
            timers[0].start()

    timers: list[threading.Timer] = []
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        scheduler.run()
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _api(reporter: Reporter) -> Iterator[None]:
    """Run the API in a process of its own for the block; restart it when it dies."""
    stopping = threading.Event()
    running: list[subprocess.Popen[bytes]] = [_start_api()]

    def watch() -> None:
        while not stopping.wait(API_RESTART_SECONDS):
            if running[0].poll() is not None and not stopping.is_set():
                reporter.notice(f"the API process ended with status {running[0].returncode}; restarting it")
                running[0] = _start_api()

    watcher = threading.Thread(target=watch, name="api watcher", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stopping.set()
        watcher.join()
        _end(running[0])


def _start_api() -> subprocess.Popen[bytes]:
    # Its own session, so that Ctrl-C reaches the scheduler first and the API serves until current work is done.
    # The pipe closes when this process ends in any way: the API must not outlive it and keep the port.
    command = [sys.executable, "-m", "service.app", UNTIL_EOF]
    return subprocess.Popen(command, start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(API_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
