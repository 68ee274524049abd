"""Ties `control` to what it steers: the pipeline's overrides and policies, the recorder, the samplers. No behaviour."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from otel_logging.boot import applog, control
from otel_logging.boot.policy_files import PolicyFiles
from otel_logging.policy.sets import in_force

if TYPE_CHECKING:
    from otel_logging.boot.configure import Active
    from otel_logging.bridge.pipeline import Pipeline
    from otel_logging.policy.engine import PolicySet


def install(active: Active, pipeline: Pipeline) -> None:
    """Let debug rules, changed policies and other processes' word of a call reach into the running process."""
    recorder = pipeline.recorder
    steering = control.install(
        active.settings,
        pipeline,
        is_quiet=applog.is_quiet,
        policies=policy_files(active, pipeline),
        trigger=getattr(recorder, "trigger_call", None),
    )
    active.undo.append(steering.stop)
    active.flushers.append(steering.flush)  # after the recorder's, which may still find that a call went wrong
    if recorder is not None and hasattr(recorder, "on_trigger"):
        active.undo.append(recorder.on_trigger(steering.announce_trigger))


def policy_files(active: Active, pipeline: Pipeline) -> PolicyFiles:
    """The policy files of a running process; its `check` puts changed ones in force everywhere."""
    settings = active.settings
    clock = active.stand_ins.clock if active.stand_ins is not None else None

    def read() -> tuple[PolicySet, list[str]]:
        return in_force(
            settings.policies,
            settings.privacy,
            frame_policies=not settings.debug,
            clock=clock or time.monotonic,
            pseudonym_key=settings.pseudonym_key,
        )

    def put_in_force(policies: PolicySet) -> None:
        pipeline.policies = policies
        for sampler in active.samplers:
            sampler.policies = policies

    return PolicyFiles(settings.policies, read, put_in_force)
