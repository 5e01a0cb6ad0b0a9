#!/usr/bin/env python3
"""A service for webhook_url (docs/processors.md): webhook.py PORT SECRET_FILE. For a look; put a real server in front of it."""
import hashlib
import hmac
import http.server
import json
import sys
import time

with open(sys.argv[2], "rb") as f:
    SECRET = f.read().strip()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        at = self.headers["Teddy-Timestamp"]
        good = "v1=" + hmac.new(SECRET, at.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(good, self.headers["Teddy-Signature"]) or abs(time.time() - int(at)) > 300:
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()  # the end of the answer is a line, not the end of the connection
        for line in ({"text": "You said: "}, {"text": json.loads(body)["text"]}, {"done": True}):
            self.wfile.write(json.dumps(line).encode() + b"\n")


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
