"""Settings of where trainings run and on what; `Settings` inherits them."""

import re
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

LOCAL = "local"
_RAY = re.compile(r"ray:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}):(?P<port>[1-9]\d{0,4})")
_LARGEST_PORT = 65535
DEVICES = "^(auto|cpu|gpu)$"


class ComputeSettings(BaseSettings):
    """Where trainings and folds run, on what, and how a Ray cluster is reached."""

    executor: str = Field(
        LOCAL,
        description="where trainings and the folds of backtests run: `local` = processes of this machine, or "
        "`ray:HOST:PORT` = a Ray cluster by the address of its head, see docs/scaling.md",
    )
    train_processes: int | None = Field(
        None,
        ge=1,
        le=64,
        description="most processes that train seeds at the same time; unset = by cores and free memory, 1 = one after "
        "another",
    )
    device: str = Field(
        "auto",
        pattern=DEVICES,
        description="`auto`: a GPU if the framework can use one, `cpu`: never one, `gpu`: a training without one fails",
    )
    ray_token_file: Path | None = Field(
        None, description="file with the token of the Ray cluster; every node and every client needs the same"
    )
    ray_cpus: int = Field(1, ge=1, le=64, description="cores of a node that one task of the Ray cluster takes")
    ray_gpus: float = Field(
        0.0,
        ge=0,
        le=8,
        description="GPUs of a node that one task takes: a share such as `0.25`, or a whole number; 0 = none",
    )
    ray_connect_seconds: float = Field(
        60.0, ge=1, le=600, description="a Ray cluster that is not connected after this time is given up"
    )

    @field_validator("executor")
    @classmethod
    def _check_executor(cls, value: str) -> str:
        found = _RAY.fullmatch(value)
        if value == LOCAL or (found is not None and int(found["port"]) <= _LARGEST_PORT):
            return value
        raise ValueError("must be local or ray:HOST:PORT, for example ray:10.0.0.5:6379")

    @field_validator("ray_gpus")
    @classmethod
    def _check_gpus(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("must be a share below 1 or a whole number")
        return value

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        if self.ray_address is not None and self.ray_token_file is None:
            raise ValueError(
                f"TPLUS_EXECUTOR={self.executor} needs TPLUS_RAY_TOKEN_FILE, the file with the token of the cluster; "
                "docs/scaling.md shows how to make one"
            )
        return self

    @property
    def ray_address(self) -> str | None:
        """Address HOST:PORT of the Ray cluster; None with the local executor."""
        return None if self.executor == LOCAL else self.executor.removeprefix("ray:")
