"""The Flask half of the service: Twilio's voice webhook, answered with TwiML. As it was in the beginning."""

from __future__ import annotations

import logging
from xml.sax.saxutils import quoteattr

from flask import Flask, Response, request

from .scripts import SCRIPTS

logger = logging.getLogger(__name__)
health_logger = logging.getLogger("server.health")

flask_app = Flask("server.routes_twilio")


@flask_app.post("/webhook/voice")
def incoming_call() -> Response:
    """A call comes in: connect its audio to our websocket, and pass on who called whom."""
    caller, dialled = request.form.get("From", ""), request.form.get("To", "")
    logger.info(f"📞 [WEBHOOK] Incoming call from={caller[:4]}****, to={dialled}, status={request.form['CallStatus']}")
    if dialled not in SCRIPTS:
        logger.warning(f"⚠️ [WEBHOOK] nobody answers {dialled!r}")
        return Response("<Response><Reject/></Response>", mimetype="text/xml")
    stream = f"ws://{request.host}/media"
    twiml = (
        f"<?xml version='1.0' encoding='UTF-8'?><Response><Connect><Stream url={quoteattr(stream)}>"
        f"<Parameter name='from' value={quoteattr(caller)}/><Parameter name='to' value={quoteattr(dialled)}/>"
        "</Stream></Connect></Response>"
    )
    logger.debug(f"📞 [WEBHOOK] payload preview: {twiml[:80]}")
    return Response(twiml, mimetype="text/xml")


@flask_app.get("/health")
def health() -> dict[str, str]:
    """For the load balancer, which asks far too often."""
    health_logger.info("💓 [HEALTH] health check ping")
    return {"status": "ok"}
