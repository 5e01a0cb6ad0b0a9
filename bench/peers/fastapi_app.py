"""The same claim and the same echo on FastAPI and uvicorn (uvloop, httptools), written as their users write
them: a pydantic model, hmac, SQLite with a synced commit per claim, PyJWT.

    fastapi_app.py --db FILE --devices CSV [--port N] [--tls CERT KEY]

The claim is `async def` with one connection: no hand-over to a thread, and no second writer to wait for."""

import argparse
import asyncio
import csv
import hashlib
import hmac
import secrets
import socket
import sqlite3
import time

import jwt
import uvicorn
from fastapi import FastAPI, HTTPException, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field

KEY = secrets.token_bytes(32)
ACCESS_S, REFRESH_S = 3600, 60 * 86400
NAME = r"^[A-Za-z0-9_-]{1,64}$"
TABLES = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE device (device_id TEXT PRIMARY KEY, secret BLOB NOT NULL, child_id TEXT, enabled INTEGER DEFAULT 1);
CREATE TABLE nonce (device_id TEXT, nonce TEXT, accepted INTEGER, PRIMARY KEY (device_id, nonce)) WITHOUT ROWID;
CREATE TABLE family (sid TEXT PRIMARY KEY, device_id TEXT, access_jti TEXT, refresh_jti TEXT, iat INTEGER);
CREATE INDEX family_device ON family (device_id);
"""

app = FastAPI()
db = None


class Claim(BaseModel):
    device_id: str = Field(regex=NAME)
    child_id: str = Field(regex=NAME)
    nonce: str = Field(min_length=8, max_length=128)
    hmac_hex: str


def token(claim, sid, use, now, life):
    jti = secrets.token_hex(16)
    payload = {"iss": "teddy", "aud": "teddy-devices", "sub": f"{claim.device_id}:{claim.child_id}", "iat": now,
               "exp": now + life, "jti": jti, "sid": sid, "use": use}
    return jti, jwt.encode(payload, KEY, algorithm="HS256", headers={"kid": "bench"})


@app.post("/api/v1/pair/claim")
async def claim(body: Claim):
    row = db.execute("SELECT secret, child_id, enabled FROM device WHERE device_id = ?", (body.device_id,)).fetchone()
    if row is None:
        raise HTTPException(404, "device_not_found")
    message = (body.device_id + body.child_id + body.nonce).encode()
    if not hmac.compare_digest(hmac.new(row[0], message, hashlib.sha256).hexdigest(), body.hmac_hex.lower()):
        raise HTTPException(401, "invalid_signature")
    if not row[2] or (row[1] and row[1] != body.child_id):
        raise HTTPException(403, "release_required")
    now, sid = int(time.time()), secrets.token_hex(16)
    access_jti, access = token(body, sid, "access", now, ACCESS_S)
    refresh_jti, refresh = token(body, sid, "refresh", now, REFRESH_S)
    try:
        with db:
            db.execute("INSERT INTO nonce VALUES (?, ?, ?)", (body.device_id, body.nonce, now))
            db.execute("UPDATE device SET child_id = ? WHERE device_id = ?", (body.child_id, body.device_id))
            db.execute("INSERT INTO family VALUES (?, ?, ?, ?, ?)",
                       (sid, body.device_id, access_jti, refresh_jti, now))
    except sqlite3.IntegrityError:
        raise HTTPException(409, "nonce_replayed") from None
    return {"access": access, "refresh": refresh, "token_type": "Bearer", "expires_in": ACCESS_S}


@app.websocket("/ws/echo")
async def echo(ws: WebSocket):
    await ws.accept()
    try:
        while True:
            message = await ws.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is not None:
                await ws.send_text(message["text"])
            else:
                await ws.send_bytes(message["bytes"])
    except WebSocketDisconnect:
        pass


def open_db(path, devices):
    opened = sqlite3.connect(path)
    opened.executescript(TABLES)
    with open(devices, newline="") as f, opened:
        opened.executemany("INSERT INTO device (device_id, secret) VALUES (?, ?)",
                           ((r[0], bytes.fromhex(r[1])) for r in csv.reader(f) if r[0] != "device_id"))
    return opened


async def main():
    global db
    p = argparse.ArgumentParser()
    p.add_argument("--db", required=True)
    p.add_argument("--devices", required=True)
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), default=(None, None))
    args = p.parse_args()
    db = open_db(args.db, args.devices)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", args.port))
    server = uvicorn.Server(uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="websockets", log_level="error", access_log=False, backlog=4096,
        ws_ping_interval=None, ssl_certfile=args.tls[0], ssl_keyfile=args.tls[1]))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    print(f"ready {listener.getsockname()[1]}", flush=True)
    await serving


if __name__ == "__main__":
    import uvloop

    uvloop.install()
    asyncio.run(main())
