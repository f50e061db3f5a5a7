"""`tplus up` and `tplus schedule`: the service in one command, or its scheduler alone."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from service.app import UNTIL_EOF, bind
from service.bootstrap import open_service
from service.cli.common import reporter_for_output, say
from service.db.migrate import shown
from service.log_config import configure_logs
from service.runtime.context import ServiceContext
from service.runtime.progress import Reporter
from service.scheduler.loop import Scheduler
from service.settings import Settings, load_settings

API_RESTART_SECONDS = 2.0
API_END_SECONDS = 10.0
SHUTDOWN_SECONDS = 30.0
"""How long work in hand may go on after `tplus schedule` is told to end."""

app = typer.Typer()


@app.command("up")
def up() -> None:
    """Migrate, then run scheduler, forecasting worker and API until Ctrl-C."""
    settings = _settings()
    bind(settings.host, settings.port).close()  # a taken port is said before anything is made
    with open_service(settings, reporter_for_output()) as context, _api(context.reporter):
        _greet(context)
        _run_until_signal(Scheduler(context))
    say("stopped; run again to resume")


@app.command("schedule")
def schedule() -> None:
    """Run the scheduler and its forecasting worker alone."""
    settings = _settings()
    with open_service(settings, reporter_for_output()) as context:
        say(f"database {shown(context.database)}, source {context.source.name}, clock {settings.clock}")
        _run_until_signal(Scheduler(context), SHUTDOWN_SECONDS)


def _settings() -> Settings:
    settings = load_settings()
    configure_logs(settings.log_level, sys.stdout)
    return settings


def _greet(context: ServiceContext) -> None:
    settings = context.settings
    say(f"the page is at http://{settings.host}:{settings.port}/ and the API's documentation at /docs; Ctrl-C ends it")
    say(f"source {context.source.name}, clock {settings.clock}, database {shown(context.database)}")
    if settings.market_clock.mode == "replay":
        now = context.market_now()
        say(f"replayed market time is {now:%Y-%m-%d %H:%M}Z; forecasts are of that day, not of today")


def _run_until_signal(scheduler: Scheduler, limit_seconds: float | None = None) -> None:
    """Run until told to end; work that then takes longer than the limit is left to whoever takes its lease over."""

    def leave() -> None:
        sys.stderr.write(f"the work in hand went on for {limit_seconds:.0f} s; it is left to the next scheduler\n")
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
    """The API in a process of its own, started again when it dies, ended with the block."""
    stopping = threading.Event()
    running: list[subprocess.Popen[bytes]] = [_start_api()]

    def watch() -> None:
        while not stopping.wait(API_RESTART_SECONDS):
            if running[0].poll() is not None and not stopping.is_set():
                reporter.notice(f"the API process ended with status {running[0].returncode}; starting it again")
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
    # Its own session, so that Ctrl-C reaches the scheduler first and the API serves until the work in hand is done.
    # The pipe is our life line: it closes with us, however we end, and the API must not outlive us and keep the port.
    command = [sys.executable, "-m", "service.app", UNTIL_EOF]
    return subprocess.Popen(command, start_new_session=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(API_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
