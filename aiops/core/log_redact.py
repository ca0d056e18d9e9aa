"""Example lines without secrets: redacted before they are kept, stored, shown or sent."""

import re

MASK = "***"
LONGEST = 500
"""Characters kept of an example line."""

_KEY_BLOCK = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_RULES = [
    # scheme://user:password@host
    (re.compile(r"(://[^\s:/@]*:)[^\s@/]+@"), rf"\1{MASK}@"),
    (
        re.compile(r"(?i)\b(authorization|proxy-authorization)(\"?\s*[:=]\s*\"?)(?:(\w+)\s+)?[^\s\",;]+"),
        rf"\1\2\3 {MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic|token|apikey)(\s+)(?=\S*[\d._+/=-])[\w.~+/=-]{8,}"), rf"\1\2{MASK}"),
    (re.compile(r"(?i)(\bcookie\"?\s*[:=]\s*\"?)[^\"\n]+"), rf"\1{MASK}"),
    (
        re.compile(
            r"(?i)([\w.-]*(?:passw(?:or)?d|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|"
            r"private[_-]?key|credentials?|session[_-]?id|sig(?:nature)?)[\w-]*\"?\s*(?:=>|[=:])\s*)"
            r"(\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^\s,;&\"'}\])]+)"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(password|passphrase|secret)(\s+(?:is|was)\s+)\S+"), rf"\1\2{MASK}"),
    # three base64url parts: a JSON web token
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"), MASK),
    # keys that bear their maker's prefix: AWS, GitHub, GitLab, Slack, Google, Stripe, npm, OpenAI-like
    (
        re.compile(
            r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
            r"|AIza[\w-]{30,}|[rs]k_(?:live|test)_\w{16,}|npm_\w{30,}|sk-[\w-]{20,})\b"
        ),
        MASK,
    ),
    (re.compile(r"\b[\w.+%-]+@(?:[\w-]+\.)+[A-Za-z]{2,}\b"), f"{MASK}@{MASK}"),
    (re.compile(r"\b(?:\d[ -]?){12}(?:\d[ -]?){0,6}\d\b"), ""),
]
_CARD = _RULES.pop()[0]


def redacted(line: str) -> str:
    """`line` without passwords, tokens, keys, cookies, e-mail addresses and card numbers; cut when long."""
    line = masked(line[: 4 * LONGEST])
    return line if len(line) <= LONGEST else line[:LONGEST] + " [cut]"


def masked(text: str) -> str:
    """The same, whole however long it is."""
    text = _KEY_BLOCK.sub(MASK, text)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return _CARD.sub(lambda found: MASK if _luhn(found[0]) else found[0], text)


def _luhn(text: str) -> bool:
    """Whether the digits pass the check sum of card numbers: ids of 13 digits and more seldom do."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = (2 * d - 9 if d > 4 else 2 * d for d in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
