from __future__ import annotations

import pytest

from otel_logging.calls.hosts import Hosts, is_own


class TestOwn:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.8.9.1", "::1", "[::1]", "10.1.2.3", "172.16.0.1", "172.31.255.255",
            "192.168.1.1", "169.254.1.1", "fe80::1", "fe80::1%eth0", "fd12:3456::1", "::ffff:10.0.0.1", "worker", "media-worker_2",
            "printer.local", "api.internal", "x.localhost", "api.default.svc", "api.default.svc.cluster.local",
        ],
    )  # fmt: skip
    def test_may_know(self, host):
        """Loopback, private and link-local addresses, bare names and private zones are ours."""
        assert is_own(host)

    @pytest.mark.parametrize(
        "host",
        [
            "api.twilio.com", "api.openai.com", "8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1", "11.0.0.1", "100.64.0.1", "192.0.2.1",
            "2001:4860:4860::8888", "::ffff:8.8.8.8", "134744072", "0x8080808", "0x08.0x08.0x08.0x08", "8.8.2056", "localhost.example.com",
            "evil-internal.com", "internal.com", "10.0.0.1.nip.io", "", "  ", "a:b", "1.2.3.4.5",
        ],
    )  # fmt: skip
    def test_may_not_know(self, host):
        """Everything else is a third party, tricks with numbers and look-alike names included."""
        assert not is_own(host)


class TestPatterns:
    def test_default_is_own_hosts(self):
        """Without patterns it is our own hosts."""
        hosts = Hosts(None)
        assert hosts.allows("worker")
        assert not hosts.allows("api.twilio.com")

    def test_globs(self):
        """Patterns are globs over the whole name, in any case, and replace the default."""
        hosts = Hosts(("*.Partner.example", "10.0.0.7"))
        assert hosts.allows("API.partner.example")
        assert hosts.allows("10.0.0.7")
        assert not hosts.allows("partner.example.evil.com")
        assert not hosts.allows("localhost")

    @pytest.mark.parametrize("patterns", [("none",), ("NONE",), (), ("",), ("none", "*")])
    def test_nobody(self, patterns):
        """`none`, or no pattern at all, switches it off."""
        hosts = Hosts(patterns)
        assert hosts.nobody
        assert not hosts.allows("localhost")
