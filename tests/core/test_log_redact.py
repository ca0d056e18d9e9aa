"""No secret stays in an example line."""

import pytest

from aiops.core.log_redact import LONGEST, redacted


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("login with password=hunter2 ok", "hunter2"),
        ("login with password: 'hunter 2' ok", "hunter 2"),
        ('{"user":"a","password":"hun\\"ter2","n":1}', "ter2"),
        ("DB_PASSWORD=hunter2", "hunter2"),
        ("the password is hunter2", "hunter2"),
        ("Authorization: Bearer abc.def-123", "abc.def"),
        ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("header bearer 0123456789abcdef", "0123456789abcdef"),
        ("GET /x?api_key=abcd1234&y=1", "abcd1234"),
        ("GET /x?access_token=zzz9&y=1", "zzz9"),
        ("Cookie: sid=12; theme=dark", "sid=12"),
        ("clone https://bob:hunter2@git.example/x.git", "hunter2"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig-part_1 used", "eyJzdWI"),
        ("key AKIAIOSFODNN7EXAMPLE used", "AKIAIOSFODNN7EXAMPLE"),
        ("pushed with ghp_0123456789abcdefghij0123", "ghp_0123"),
        ("mail to jane.doe+x@corp.example sent", "jane.doe"),
        ("card 4111 1111 1111 1111 charged", "1111 1111"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
        ("X-Api-Key: 12345-secret", "12345"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "wJalr"),
    ],
)
def test_secrets_are_masked(line: str, secret: str) -> None:
    assert secret not in redacted(line)
    assert "***" in redacted(line)


@pytest.mark.parametrize(
    "line",
    [
        "Received block blk_-1608999687919862906 of size 91178 from 10.0.0.1",
        "GET /items/77 200 in 5 ms",
        "session closed for user root",
        "order 1234567890123 shipped",
        "token bucket is full",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert redacted(line) == line


def test_long_lines_are_cut() -> None:
    assert len(redacted("a b " * 10_000)) <= LONGEST + 6
