"""kill -9 right behind an answer: whatever was answered is still known afterwards."""

import json
import subprocess

from harness import Case, Server, closed, hello, main


class Durable(Case):
    CONFIG = {"claims_per_device_min": 0, "refreshes_per_device_min": 0}

    def power_cut(self):
        self.server.kill()
        self.server.start()

    async def test_answered_claims_are_known(self):
        toy = self.server.add()
        for _ in range(5):
            body = toy.body()
            pair = toy.claim(body=body)
            self.power_cut()
            self.problem(toy.post_claim(body), 409, "nonce_replayed")
            async with toy.connect(pair["access"]) as ws:
                await hello(ws)

    async def test_answered_rotations_are_known(self):
        toy = self.server.add()
        token = toy.claim()["refresh"]
        for _ in range(4):
            successor = toy.post_refresh(token).json()["refresh"]
            self.power_cut()
            again = toy.post_refresh(token)  # its answer may have been lost: the same successor
            self.assertEqual(again.status_code, 200, again.text)
            self.assertEqual(self.ids(again.json()["refresh"]), self.ids(successor))
            old, token = token, successor
        newest = toy.post_refresh(token).json()["refresh"]  # presents it
        self.power_cut()
        self.problem(toy.post_refresh(old), 401, "token_reused")
        self.power_cut()
        self.problem(toy.post_refresh(newest), 401, "token_revoked")

    async def test_a_presentation_is_known(self):
        toy = self.server.add()
        old = toy.claim()
        new = toy.post_refresh(old["refresh"]).json()
        ws = await toy.connect(new["access"])
        await hello(ws)
        self.power_cut()
        await closed(ws)
        self.problem(toy.post_refresh(old["refresh"]), 401, "token_reused")

    async def test_registered_and_revoked_are_known(self):
        toy = self.server.add()
        access = toy.claim()["access"]
        self.server.ctl("token", "revoke", toy.device_id)
        self.power_cut()
        await self.refused(toy.connect(access), 1008, "token_revoked")
        self.server.ctl("device", "disable", toy.device_id)
        self.power_cut()
        self.problem(toy.post_claim(), 403, "device_disabled")

    def test_the_database_is_whole(self):
        for _ in range(3):
            self.server.add().claim()
            self.power_cut()
        db = self.server.database()
        try:
            self.assertEqual(db.execute("pragma integrity_check").fetchall(), [("ok",)])
        finally:
            db.close()

    @staticmethod
    def ids(token):
        import jwt
        claims = jwt.decode(token, options={"verify_signature": False})
        return claims["jti"], claims["iat"], claims["exp"]


if __name__ == "__main__":
    main()
