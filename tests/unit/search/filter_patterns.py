"""CloudWatch's filter patterns, as far as we write them, evaluated: what the service would let through.

The emulator in the tests takes plain terms only and answers every other pattern with all events, so a pattern that
lets too little through would never be noticed there.
"""

from __future__ import annotations

import json
import re


def lets_through(pattern, message):
    """Whether an event with this text passes the pattern."""
    pattern = pattern.strip()
    if not pattern:
        return True
    if pattern.startswith("%"):
        assert pattern.endswith("%")
        return re.search(pattern[1:-1], message) is not None
    if pattern.startswith("{"):
        assert pattern.endswith("}")
        try:
            document = json.loads(message)
        except ValueError:
            return False
        return _Parser(pattern[1:-1], document).value() if isinstance(document, dict) else False
    terms = re.findall(r'(\??)"([^"\\]*)"', pattern)
    assert " ".join(f'{mark}"{text}"' for mark, text in terms) == pattern, f"not understood: {pattern}"
    some = [text for mark, text in terms if mark]
    return all(text in message for mark, text in terms if not mark) and (
        not some or any(text in message for text in some)
    )


_TOKEN = re.compile(
    r"\s*(?:(?P<mark>\|\||&&|\(|\)|>=|=)|(?P<path>\$(?:\.[A-Za-z_]+)+)|(?P<absent>NOT EXISTS)"
    r'|"(?P<text>[^"\\]*)"|(?P<number>\d+))'
)


class _Parser:
    """`( $.a = "x" ) || ( $.b >= 13 )` and the like; anything else is an error of the pattern."""

    def __init__(self, text, document):
        self.tokens = []
        place = 0
        text = text.rstrip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            assert found, f"not understood: {text[place:]!r}"
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            place = found.end()
        self.document = document

    def value(self):
        """The value of the whole expression."""
        answer = self._any()
        assert not self.tokens, self.tokens
        return answer

    def _any(self):
        answers = [self._all()]
        while self.tokens and self.tokens[0] == ("mark", "||"):
            self.tokens.pop(0)
            answers.append(self._all())
        return any(answers)

    def _all(self):
        answers = [self._one()]
        while self.tokens and self.tokens[0] == ("mark", "&&"):
            self.tokens.pop(0)
            answers.append(self._one())
        return all(answers)

    def _one(self):
        kind, word = self.tokens.pop(0)
        if (kind, word) == ("mark", "("):
            answer = self._any()
            assert self.tokens.pop(0) == ("mark", ")")
            return answer
        assert kind == "path", (kind, word)
        found = self.document
        for key in word[2:].split("."):
            found = found.get(key) if isinstance(found, dict) else None
        operator, sign = self.tokens.pop(0)
        if operator == "absent":
            return found is None
        wanted_kind, wanted = self.tokens.pop(0)
        if sign == ">=":
            assert wanted_kind == "number"
            return isinstance(found, (int, float)) and found >= int(wanted)
        assert (sign, wanted_kind) == ("=", "text")
        return isinstance(found, str) and (found.startswith(wanted[:-1]) if wanted.endswith("*") else found == wanted)
