"""Tokens: their form, the signature verified by PyJWT, what is refused, and the refresh with its lost answers."""

import asyncio
import json
import os
import re
import time

import jwt

from harness import PATIENCE, REFRESH, Case, Server, b64url, closed, main, unb64url

HEX32 = re.compile(r"^[0-9a-f]{32}$")


def parts(token):
    header, payload, _ = token.split(".")
    return json.loads(unb64url(header)), json.loads(unb64url(payload))


def same(token):
    """What must be equal when a lost answer is answered again."""
    claims = parts(token)[1]
    return claims["jti"], claims["iat"], claims["exp"], claims["sid"]


class Hs256(Case):
    CONFIG = {"claims_per_device_min": 0, "refreshes_per_device_min": 0}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keys = {k["kid"]: k for k in cls.server.signing_keys()}

    def key(self, token):
        key = self.keys[jwt.get_unverified_header(token)["kid"]]
        self.assertEqual((key["kty"], key["alg"]), ("oct", "HS256"))
        secret = unb64url(key["k"])
        self.assertGreaterEqual(len(secret), 32)
        return secret

    def verified(self, token):
        return jwt.decode(token, self.key(token), algorithms=["HS256"], audience="teddy-devices", issuer="teddy",
                          options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"]})

    def forge(self, token, header=None, claims=None, key=None, alg="HS256", drop=()):
        """The same token with changes, signed anew."""
        old_header, old_claims = parts(token)
        new_claims = {k: v for k, v in {**old_claims, **(claims or {})}.items() if k not in drop}
        new_header = {**old_header, **(header or {})}
        new_header.pop("alg", None)
        return jwt.encode(new_claims, self.key(token) if key is None else key, algorithm=alg, headers=new_header)

    def test_form(self):
        toy = self.server.add()
        before = int(time.time())
        pair = toy.claim()
        after = int(time.time())
        access, refresh = self.verified(pair["access"]), self.verified(pair["refresh"])
        for token in (pair["access"], pair["refresh"]):
            self.assertLessEqual(len(token), 700)
            header = jwt.get_unverified_header(token)
            self.assertEqual(set(header), {"alg", "kid", "typ"})
            self.assertEqual((header["alg"], header["typ"]), ("HS256", "JWT"))
        for claims, use, ttl in ((access, "access", 3600), (refresh, "refresh", 5184000)):
            self.assertEqual(set(claims), {"iss", "aud", "sub", "iat", "exp", "jti", "sid", "use"})
            self.assertEqual((claims["use"], claims["sub"]), (use, f"{toy.device_id}:{toy.child_id}"))
            self.assertEqual(claims["exp"] - claims["iat"], ttl)
            self.assertTrue(before <= claims["iat"] <= after)
            self.assertRegex(claims["jti"], HEX32)
        self.assertEqual(access["sid"], refresh["sid"])
        self.assertNotEqual(access["jti"], refresh["jti"])

    def test_no_two_pairs_are_alike(self):
        toy = self.server.add()
        first, second = toy.claim(), toy.claim()
        seen = {parts(p[t])[1]["jti"] for p in (first, second) for t in ("access", "refresh")}
        self.assertEqual(len(seen), 4)
        self.assertNotEqual(parts(first["access"])[1]["sid"], parts(second["access"])[1]["sid"])

    def forgeries(self, token):
        """name -> a token that must not be taken, though all but one thing about it is right."""
        header, claims = parts(token)
        signed = token.rsplit(".", 1)[0]
        secret = self.key(token)
        none_header = b64url(json.dumps({**header, "alg": "none"}).encode())
        signature = unb64url(token.split(".")[2])
        other_kind = "refresh" if claims["use"] == "access" else "access"
        yield "alg none, no signature", f"{none_header}.{token.split('.')[1]}."
        yield "alg none, old signature", f"{none_header}.{token.split('.')[1]}.{token.split('.')[2]}"
        yield "alg NONE", jwt.encode(claims, secret, algorithm="HS256",
                                     headers={**header, "alg": "HS256"}).replace(
            token.split(".")[0], b64url(json.dumps({**header, "alg": "None"}).encode()))
        yield "HS512 under the same key", self.forge(token, alg="HS512")
        yield "HS384 under the same key", self.forge(token, alg="HS384")
        yield "another key", self.forge(token, key=b"k" * 32)
        yield "empty key", self.forge(token, key=b"")
        yield "unknown kid", self.forge(token, header={"kid": "unknown"})
        yield "no kid", b64url(b'{"alg":"HS256","typ":"JWT"}') + "." + token.split(".", 1)[1]
        for extra in ({"jku": "https://127.0.0.1/jwks.json"}, {"x5u": "https://127.0.0.1/x"}, {"x5c": ["aa"]},
                      {"jwk": {"kty": "oct", "k": b64url(b"k" * 32)}}, {"crit": ["exp"]}, {"x": 1}):
            yield f"header {list(extra)[0]}", self.forge(token, header=extra)
        yield "own jwk", self.forge(token, header={"jwk": {"kty": "oct", "k": b64url(b"k" * 32)}}, key=b"k" * 32)
        yield "another typ", self.forge(token, header={"typ": "at+jwt"})
        yield "another issuer", self.forge(token, claims={"iss": "other"})
        yield "another audience", self.forge(token, claims={"aud": "other"})
        yield "the other use", self.forge(token, claims={"use": other_kind})
        yield "no use", self.forge(token, drop=("use",))
        yield "no exp", self.forge(token, drop=("exp",))
        yield "no jti", self.forge(token, drop=("jti",))
        yield "no sid", self.forge(token, drop=("sid",))
        yield "exp as text", self.forge(token, claims={"exp": "9999999999"})
        yield "no signature", signed + "."
        yield "two parts", signed
        yield "four parts", token + ".AAAA"
        yield "padding", token + "="
        yield "space", token + " "
        yield "flipped bit", signed + "." + b64url(bytes([signature[0] ^ 1]) + signature[1:])
        yield "short signature", signed + "." + b64url(signature[:-1])
        yield "long signature", signed + "." + b64url(signature + b"\0")
        yield "long", self.forge(token, header={"kid": header["kid"]}, claims={"x": "x" * 700})
        yield "words", "not a token"
        yield "dots", ".."

    def test_forged_refresh_tokens(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        for name, forged in self.forgeries(token):
            with self.subTest(name):
                answer = self.server.post(REFRESH, {"refresh": forged})
                if len(forged) > 700:
                    self.assertIn(answer.status_code, (401, 422), answer.text)
                else:
                    self.problem(answer, 401)
        # The control: signed anew with nothing changed it is taken, so each refusal above was for its reason.
        self.assertEqual(toy.post_refresh(self.forge(token)).status_code, 200)

    async def test_forged_access_tokens(self):
        toy = self.server.add()
        token = toy.claim()["access"]
        for name, forged in self.forgeries(token):
            if " " in forged or len(forged) > 700:
                continue
            with self.subTest(name):
                await self.refused(toy.connect(forged.replace("=", "%3D")), 1008, "bad_token")
        async with toy.connect(self.forge(token)) as ws:
            await ws.send("hello")
            self.assertEqual(json.loads(await ws.recv())["type"], "echo")

    def test_expired_refresh(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        past = int(time.time()) - 5
        self.problem(toy.post_refresh(self.forge(token, claims={"exp": past})), 401, "token_expired")

    def test_unknown_family(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        self.problem(toy.post_refresh(self.forge(token, claims={"sid": "0" * 32})), 401, "token_revoked")
        other = self.server.add()
        sub = f"{other.device_id}:{other.child_id}"
        self.problem(toy.post_refresh(self.forge(token, claims={"sub": sub})), 401)
        self.assertEqual(toy.post_refresh(token).status_code, 200)

    def test_refresh(self):
        toy = self.server.add()
        old = toy.claim()
        answer = toy.post_refresh(old["refresh"])
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        new = answer.json()
        self.assertEqual(set(new), {"access", "refresh", "token_type", "expires_in"})
        self.assertEqual(new["token_type"], "Bearer")
        self.assertIn(new["expires_in"], range(3590, 3601))  # seconds may have passed
        before, after = self.verified(old["refresh"]), self.verified(new["refresh"])
        self.assertEqual((before["sid"], before["sub"]), (after["sid"], after["sub"]))
        self.assertNotEqual(before["jti"], after["jti"])
        self.assertEqual(self.verified(new["access"])["use"], "access")

    def test_refresh_token_member(self):
        toy = self.server.add()
        answer = toy.post_refresh(toy.claim()["refresh"], member="refresh_token")
        self.assertEqual(answer.status_code, 200, answer.text)

    def test_refresh_bad_requests(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        self.problem(self.server.post(REFRESH, {}), 422)
        self.problem(self.server.post(REFRESH, {"refresh": token, "refresh_token": token}), 422)
        self.problem(self.server.post(REFRESH, {"refresh": 7}), 422)
        self.problem(self.server.post(REFRESH, {"refresh": ""}), 422)
        self.problem(self.server.post(REFRESH, {"refresh": "a" * 700}), 401, "bad_token")
        self.problem(self.server.post(REFRESH, {"refresh": "a" * 701}), 422)
        self.problem(self.server.post(REFRESH, {"refresh": toy.claim()["access"]}), 401, "bad_token")
        token = toy.claim()["refresh"]
        self.problem(self.server.post(REFRESH, b"{"), 400)
        self.problem(self.server.post(REFRESH, b'{"refresh":"a","refresh":"b"}'), 400)
        self.problem(self.server.post(REFRESH, b"refresh=" + token.encode(),
                                      headers={"Content-Type": "application/x-www-form-urlencoded"}), 415)
        self.problem(self.server.post(REFRESH, {"refresh": token, "x": "x" * 4096}), 413)
        answer = self.server.get(REFRESH)
        self.problem(answer, 405)
        self.assertEqual(answer.headers["Allow"], "POST")
        self.assertEqual(toy.post_refresh(token).status_code, 200)

    def test_a_lost_answer_is_given_again(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        first = toy.post_refresh(token).json()
        for _ in range(3):
            again = toy.post_refresh(token)
            self.assertEqual(again.status_code, 200, again.text)
            for kind in ("access", "refresh"):
                self.assertEqual(same(again.json()[kind]), same(first[kind]))

    async def test_presenting_the_successor_spends_the_old_one_for_good(self):
        toy = self.server.add()
        old = toy.claim()
        new = toy.post_refresh(old["refresh"]).json()
        async with toy.connect(new["access"]) as ws:
            await ws.send("hello")
            self.assertEqual(json.loads(await ws.recv())["type"], "echo")
            start = time.monotonic()
            answer = await asyncio.to_thread(toy.post_refresh, old["refresh"])
            self.problem(answer, 401, "token_reused")
            code, reason = await closed(ws)
            self.assertEqual((code, reason.split()[0]), (1008, "token_revoked"))
            self.assertLess(time.monotonic() - start, PATIENCE / 2)  # no ping had to find it out
        # The whole family is gone.
        self.problem(toy.post_refresh(new["refresh"]), 401, "token_revoked")
        await self.refused(toy.connect(new["access"]), 1008, "token_revoked")
        # The toy comes back by claiming.
        self.assertEqual(toy.post_claim().status_code, 200)

    def test_refreshing_with_the_successor_presents_it(self):
        toy = self.server.add()
        first = toy.claim()["refresh"]
        second = toy.post_refresh(first).json()["refresh"]
        third = toy.post_refresh(second).json()["refresh"]
        self.problem(toy.post_refresh(first), 401, "token_reused")
        self.problem(toy.post_refresh(third), 401, "token_revoked")

    async def test_the_old_access_token_stays_good_until_it_expires(self):
        toy = self.server.add()
        old = toy.claim()
        self.assertEqual(toy.post_refresh(old["refresh"]).status_code, 200)
        async with toy.connect(old["access"]) as ws:
            await ws.send("hello")
            self.assertEqual(json.loads(await ws.recv())["type"], "echo")

    async def test_a_new_claim_supersedes(self):
        toy = self.server.add()
        old = toy.claim()
        async with toy.connect(old["access"]) as ws:
            await ws.send("hello")
            await ws.recv()
            await asyncio.to_thread(toy.claim)
            code, reason = await closed(ws)
            self.assertEqual((code, reason.split()[0]), (1008, "superseded"))
        self.problem(toy.post_refresh(old["refresh"]), 401)
        ws = await toy.connect(old["access"])
        code, reason = await closed(ws)
        self.assertEqual(code, 1008)
        self.assertIn(reason.split()[0], ("superseded", "token_revoked"))

    def test_disabled(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        self.server.ctl("device", "disable", toy.device_id)
        answer = toy.post_refresh(token)
        self.problem(answer, 403, "device_disabled")

    def test_503(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        with self.server.broken_store():
            answer = toy.post_refresh(token)
            self.problem(answer, 503)
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(toy.post_refresh(token).status_code, 200)

    def test_no_secret_key_is_published(self):
        answer = self.server.get("/.well-known/jwks.json")
        self.assertEqual(answer.status_code, 200)
        self.assertEqual(answer.json(), {"keys": []})


class Es256(Case):
    CONFIG = {"jwt_alg": "ES256", "jwt_issuer": "https://toys.example", "jwt_audience": "others"}

    def test_another_service_verifies_through_the_jwks(self):
        toy = self.server.add()
        pair = toy.claim()
        jwks = self.server.get("/.well-known/jwks.json").json()
        for key in jwks["keys"]:
            self.assertEqual((key["kty"], key["crv"], key["alg"]), ("EC", "P-256", "ES256"))
            self.assertNotIn("d", key)
        keys = {k["kid"]: jwt.PyJWK(k).key for k in jwks["keys"]}
        for kind in ("access", "refresh"):
            self.assertLessEqual(len(pair[kind]), 700)
            header = jwt.get_unverified_header(pair[kind])
            self.assertEqual(header["alg"], "ES256")
            claims = jwt.decode(pair[kind], keys[header["kid"]], algorithms=["ES256"], audience="others",
                                issuer="https://toys.example")
            self.assertEqual(claims["use"], kind)

    async def test_the_public_key_is_no_hmac_secret(self):
        from cryptography.hazmat.primitives import serialization
        toy = self.server.add()
        token = toy.claim()["access"]
        header, claims = parts(token)
        key = jwt.PyJWK(self.server.get("/.well-known/jwks.json").json()["keys"][0]).key
        raw = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        forged = jwt.encode(claims, raw, algorithm="HS256", headers={"kid": header["kid"]})
        await self.refused(toy.connect(forged), 1008, "bad_token")
        async with toy.connect(token) as ws:
            await ws.send("hello")
            self.assertEqual(json.loads(await ws.recv())["type"], "echo")

    def due(self, server, kid):
        """Has the time come at which a published key signs."""
        server.terminate()
        path = os.path.join(server.data, "jwt-keys.json")
        with open(path) as f:
            document = json.load(f)
        for key in document["keys"]:
            if key["kid"] == kid:
                key["signs_at"] = int(time.time())
        with open(path, "w") as f:
            json.dump(document, f)
        server.start()

    async def test_switching_the_algorithm_keeps_old_tokens(self):
        server = Server(**{**self.UNLIMITED})
        try:
            toy = server.add()
            old = toy.claim()
            server.config["jwt_alg"] = "ES256"
            server.restart()
            waiting = [k["kid"] for k in server.get("/.well-known/jwks.json").json()["keys"]]
            self.assertEqual(len(waiting), 1)  # published, and not yet what signs
            self.assertEqual(jwt.get_unverified_header(server.add().claim()["access"])["alg"], "HS256")
            self.due(server, waiting[0])
            async with toy.connect(old["access"]) as ws:
                await ws.send("hello")
                self.assertEqual(json.loads(await ws.recv())["type"], "echo")
            new = toy.post_refresh(old["refresh"]).json()
            header = jwt.get_unverified_header(new["access"])
            self.assertEqual(header["alg"], "ES256")
            jwks = {k["kid"]: jwt.PyJWK(k).key for k in server.get("/.well-known/jwks.json").json()["keys"]}
            claims = jwt.decode(new["access"], jwks[header["kid"]], algorithms=["ES256"], audience="teddy-devices", issuer="teddy")
            self.assertEqual(claims["sid"], parts(old["access"])[1]["sid"])
            server.config["jwt_alg"] = "HS256"  # and back: others may still hold what ES256 signed
            server.restart()
            self.assertIn(header["kid"], [k["kid"] for k in server.get("/.well-known/jwks.json").json()["keys"]])
            self.assertEqual(toy.post_refresh(new["refresh"]).status_code, 200)
        finally:
            server.close()


if __name__ == "__main__":
    main()
