"""The name of the logger that an application has before anything is configured."""

from __future__ import annotations

LOGGER = "applog.test"
