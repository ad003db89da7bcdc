"""A small HTTP client that keeps its connection and its cookies: a visitor without a browser, and at little cost."""

from __future__ import annotations

import http.client
import re
from http.cookies import SimpleCookie
from urllib.parse import urlencode, urlsplit

TIMEOUT_S = 30


class HttpSession:
    """One signed-in visitor of the product at ``url``. A page that came compressed (``gzip``) reads as ""."""

    def __init__(self, url: str, *, accept_encoding: str = "gzip") -> None:
        self._accept_encoding = accept_encoding
        self._base = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(self._base.hostname), self._base.port, timeout=TIMEOUT_S)
        self.cookies: dict[str, str] = {}

    def request(
        self, method: str, path: str, fields: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, str, dict[str, str]]:
        """Send one request; return (status, body, headers in lower case). Redirects are not followed."""
        body = urlencode(fields) if fields is not None else None
        all_headers = {
            "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items()),
            "Accept-Encoding": self._accept_encoding,
        }
        if body is not None:
            all_headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, all_headers | (headers or {}))
        try:
            answer = self._connection.getresponse()
        except http.client.RemoteDisconnected:
            if method != "GET":
                raise
            # The server closed a connection that was idle for too long, as it may; a GET can be sent again.
            self._connection.close()
            self._connection.request(method, path, body, all_headers | (headers or {}))
            answer = self._connection.getresponse()
        content = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                for key, morsel in SimpleCookie(value).items():
                    self.cookies[key] = morsel.value
        received = {name.lower(): value for name, value in answer.getheaders()}
        text = "" if received.get("content-encoding") else content.decode(errors="replace")
        return answer.status, text, received

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def get(self, path: str, headers: dict[str, str] | None = None) -> str:
        """Return the page, which must be there."""
        status, text, _ = self.request("GET", path, headers=headers)
        if status != 200:
            raise RuntimeError(f"GET {path} answered {status}: {text[:300]}")
        return text

    def sign_in(self, user: str, password: str) -> None:
        """Sign in as a person would."""
        token = hidden(self.request("GET", "/sign-in/", headers={"Accept-Encoding": "identity"})[1])
        fields = {"username": user, "password": password, "csrfmiddlewaretoken": token["csrfmiddlewaretoken"]}
        status, text, _ = self.request("POST", "/sign-in/", fields, {"Accept-Encoding": "identity"})
        if status != 302:
            raise RuntimeError(f"signing in answered {status}: {text[:500]}")


def hidden(page: str) -> dict[str, str]:
    """Return the hidden fields of a page's forms."""
    fields = {}
    for tag in re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", page):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name:
            fields[name[1]] = value[1] if value else ""
    return fields
