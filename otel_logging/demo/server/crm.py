"""The customer look-up, with the habit of shouting ERROR when all is well."""

from __future__ import annotations

import logging

from .scripts import Script

logger = logging.getLogger(__name__)
cache_logger = logging.getLogger("server.crm.cache")


def load_customer(script: Script, phone: str) -> str | None:
    """The caller's name, or None for somebody who calls for the first time."""
    cache_logger.info(f"cache miss for {phone}")
    name = script.customers.get(phone)
    masked = phone[:4] + "*" * max(len(phone) - 4, 0)
    if name is None:
        # A first-time caller is no error at all. It is logged as one in every second service.
        logger.error(f"❌ [DB] no CRM match for phone={masked}, business_id={script.business_id}")
        return None
    logger.info(f"✅ [DB] Customer context loaded: name={name}, phone={masked}")
    return name
