"""The admin API as spec/openapi.yaml has it: every operation called over HTTPS with the role it needs, with one below and with none,
its answers held against the schemas; and the routes of the server against the paths of the document, in both directions."""

import copy
import json
import os
import re
import secrets

import jsonschema
import yaml

import harness

SPEC = os.path.join(os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../..")), "spec/openapi.yaml")
ADMIN = "/api/v1/admin"
ROLES = ("viewer", "operator", "owner")
METHODS = ("get", "put", "post", "delete", "patch")


class Document:
    def __init__(self):
        with open(SPEC) as f:
            self.all = yaml.safe_load(f)
        self.resolver = jsonschema.RefResolver("", self.all)

    def resolve(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def operations(self):
        """(operationId, method, path, the operation) of the admin API."""
        for path, item in self.all["paths"].items():
            if path.startswith(ADMIN + "/"):
                for method in METHODS:
                    if method in item:
                        yield item[method]["operationId"], method.upper(), path, item[method]

    def operation(self, operation_id):
        return next(found for found in self.operations() if found[0] == operation_id)

    def check(self, operation, answer):
        """An answer is one that the operation documents, with the headers and the body that it says."""
        responses = operation["responses"]
        known = responses.get(str(answer.status_code), responses.get("default"))
        assert known, f"{answer.status_code} is not documented: {answer.text}"
        known = self.resolve(known)
        for name, header in known.get("headers", {}).items():
            header = self.resolve(header)
            assert name in answer.headers or not header.get("required"), f"{answer.status_code} without {name}"
            if name in answer.headers:
                value = answer.headers[name]
                kind = self.resolve(header["schema"]).get("type")
                self.validate(header["schema"], int(value) if kind == "integer" else value)
        media = answer.headers["Content-Type"].split(";")[0]
        assert media in known["content"], (media, answer.status_code)
        self.validate(known["content"][media]["schema"], answer.json())

    def validate(self, schema, value):
        jsonschema.Draft202012Validator(schema, resolver=self.resolver).validate(value)


class Api(harness.Case):
    @classmethod
    def setUpClass(cls):
        cls.document = Document()
        cls.server = harness.Server(admin_listen="0")
        cls.tokens = {role: cls.server.admin_token(role) for role in ROLES}

    def parameters(self):
        """Ids of a toy, a child, a token, a key and a token family that are there."""
        toy = self.server.add()
        toy.child_id = "child-" + secrets.token_hex(8)
        sid = harness.sid_of(toy.claim()["access"])
        token = self.server.admin_token("viewer").split("_")[1]
        keys = self.server.admin("GET", "/keys")[1]["keys"]
        kid = next(key["kid"] for key in keys if key["state"] == "signing")
        return {"device_id": toy.device_id, "child_id": toy.child_id, "token_id": token, "kid": kid, "sid": sid}

    def call(self, operation_id, token, fill=None, **kw):
        """Calls it with ids that are there, and with the document's own example as body; the answer is a documented one."""
        _, method, path, operation = self.document.operation(operation_id)
        fill = fill if fill is not None else self.parameters()
        body = operation.get("requestBody", {}).get("content", {})
        if body and "data" not in kw:
            media, content = next(iter(body.items()))
            self.document.validate(content["schema"], content["example"])
            example = copy.deepcopy(content["example"])
            query = {p["name"]: p["example"] for p in operation.get("parameters", ()) if p["in"] == "query" and p.get("required")}
            unused = f"Teddy-{secrets.token_hex(8)}-"
            if media == "text/csv":
                example = re.sub(r",\w{64}", lambda _: "," + secrets.token_hex(32), example.replace("Teddy-ESP32-", unused))
                query.update({name: {"prefix": unused, "id": secrets.token_hex(8)}[name] for name in {"prefix", "id"} & set(query)})
            else:
                if "device_id" in example:
                    example["device_id"] = unused
                example = json.dumps(example)
            kw = {"data": example, "headers": {"Content-Type": media}, "params": query, **kw}
        answer = self.server.ask_admin(method, path[len(ADMIN):].format(**fill), token, **kw)
        self.document.check(operation, answer)
        return answer


class Documented(Api):
    def success(self, operation):
        return next(int(status) for status in operation["responses"] if status.startswith("2"))

    def test_every_operation_answers_as_documented(self):
        for operation_id, _, _, operation in self.document.operations():
            if operation_id in ("drain", "listenEvents"):
                continue  # the one ends the server: see below; the other never ends: test_console.py
            with self.subTest(operation_id):
                answer = self.call(operation_id, self.tokens[operation["x-required-role"]])
                self.assertEqual(answer.status_code, self.success(operation), answer.text)

    def test_every_operation_refuses_a_lower_role(self):
        there = self.parameters()
        for operation_id, _, _, operation in self.document.operations():
            for role in ROLES[:ROLES.index(operation["x-required-role"])]:
                with self.subTest(operation_id, role=role):
                    problem = self.problem(self.call(operation_id, self.tokens[role], fill=there), 403, "role_too_low")
                    self.assertIn(f"the role {operation['x-required-role']}", problem["detail"])

    def test_every_operation_refuses_a_caller_without_token(self):
        there = {"device_id": "x", "child_id": "x", "token_id": "00000000", "kid": "x", "sid": "0" * 32}
        for n, (operation_id, _, _, _) in enumerate(self.document.operations()):
            with self.subTest(operation_id):  # each from an address of its own, as these are limited
                self.problem(self.call(operation_id, None, fill=there, source=f"127.0.1.{n}"), 401, "bad_admin_token")
        self.assertGreater(n, 15)

    def test_the_server_has_every_operation_and_no_other(self):
        routes = self.call("listRoutes", self.tokens["viewer"]).json()["routes"]
        served = {(r["method"], r["pattern"]): r["role"] for r in routes if r["who"] == "admin"}
        documented = {(method, path): operation["x-required-role"]
                      for _, method, path, operation in self.document.operations()}
        self.assertEqual(served, documented)
        # What teddyctl prints without a server is the same.
        printed = [line.split("\t") for line in self.server.ctl("routes").stdout.splitlines()]
        self.assertEqual({(m, p): role for m, p, who, _, role in printed if who == "admin"}, documented)

    def test_every_operation_demands_a_token_in_the_document(self):
        for operation_id, _, _, operation in self.document.operations():
            self.assertEqual(operation["security"], [{"adminToken": []}], operation_id)
            self.assertTrue({"400", "401", "403", "429", "default"} <= set(operation["responses"]), operation_id)

    def test_refusals_are_as_documented(self):
        owner = self.tokens["owner"]
        there = self.parameters()
        gone = {**there, "device_id": "nobody", "token_id": "00000000", "kid": "unknown"}
        bad = {**there, "device_id": "no.id", "child_id": "no.id", "token_id": "no-id"}
        json_type = {"Content-Type": "application/json"}
        for operation_id, _, path, operation in self.document.operations():
            if any(name in path for name in ("{device_id}", "{token_id}", "{kid}")):
                with self.subTest(operation_id, ids="gone"):
                    self.assertEqual(self.call(operation_id, owner, fill=gone).status_code, 404)
            if "{" in path and "{kid}" not in path:  # what is no kid is a key that is not there
                with self.subTest(operation_id, ids="bad"):
                    self.assertEqual(self.call(operation_id, owner, fill=bad).status_code, 422)
        cases = (
            ("addDevice", 400, {"data": "{", "headers": json_type}),
            ("addDevice", 422, {"data": "{}", "headers": json_type}),
            ("addDevice", 409, {"data": json.dumps({"device_id": there["device_id"]}), "headers": json_type}),
            ("addDevice", 415, {"data": "{}", "headers": {"Content-Type": "text/plain"}}),
            ("addDevice", 413, {"data": " " * 5000, "headers": json_type}),
            ("importDevices", 422, {"data": "x\n", "headers": {"Content-Type": "text/csv"}}),
            ("importDevices", 422, {"params": {"prefix": "a b"}}),
            ("importDevices", 422, {"params": {"prefix": "Nobody-"}}),
            ("addBatch", 422, {"params": {}}),
            ("listBatches", 422, {"params": {"after": "x"}}),
            ("sendMessage", 400, {"data": "[]", "headers": json_type}),
            ("sendMessage", 422, {"data": "{}", "headers": json_type}),
            ("createAdminToken", 400, {"data": "", "headers": json_type}),
            ("createAdminToken", 422, {"data": '{"role":"king"}', "headers": json_type}),
            ("addKey", 400, {"data": "[]", "headers": json_type}),
            ("addKey", 422, {"data": '{"alg":"none"}', "headers": json_type}),
            ("retireKey", 422, {"data": '{"alg":"ES256"}', "headers": json_type}),
            ("listDevices", 422, {"params": {"limit": "0"}}),
            ("listDevices", 422, {"params": {"after": "a b"}}),
            ("listSessions", 422, {"params": {"limit": ["1", "2"]}}),
            ("showStatus", 400, {"params": {"access_token": owner}}),
        )
        for sid, status in (("0" * 32, 404), ("0" * 31, 422), ("0" * 31 + "x", 422)):
            with self.subTest("revokeFamily", sid=sid):
                self.assertEqual(self.call("revokeFamily", owner, fill={**there, "sid": sid}).status_code, status)
        for operation_id, status, kw in cases:
            with self.subTest(operation_id, status=status):
                answer = self.call(operation_id, owner, fill=there, **copy.deepcopy(kw))
                self.assertEqual(answer.status_code, status, answer.text)
        for _ in range(64):
            self.call("sendMessage", owner, fill=there)
        self.problem(self.call("sendMessage", owner, fill=there), 409, "downlink_queue_full")
        self.assertEqual(len(self.call("listMessages", owner, fill=there).json()["messages"]), 64)

    def test_batches(self):
        owner = self.tokens["owner"]
        line, other = (f"b-1,{secrets.token_hex(32)}\n" for _ in range(2))
        there = {"id": secrets.token_hex(8), "prefix": "b-", "first": 1, "digits": 1, "manifest_sha256": "0" * 64}
        for params, data, status, code in ((there, line, 201, None), (there, line, 409, "batch_exists"),
                                           ({**there, "id": secrets.token_hex(8)}, other, 409, "batch_conflict"),
                                           ({**there, "first": 2}, line, 422, "bad_batch"),
                                           ({**there, "digits": 19}, line, 422, "bad_query")):
            with self.subTest(code):
                answer = self.call("addBatch", owner, data=data, headers={"Content-Type": "text/csv"}, params=params)
                self.assertEqual(answer.status_code, status, answer.text)
                self.assertEqual(answer.json().get("code"), code)
        shown = self.call("listBatches", self.tokens["viewer"], params={"prefix": "b-"}).json()
        self.assertEqual([b["id"] for b in shown["batches"]], [there["id"]])
        self.assertEqual(shown["next_number"], 2)

    async def test_sessions_and_devices_in_full(self):
        toy = self.server.add()
        async with toy.connect(toy.claim()["access"]) as ws:
            await harness.hello(ws)
            shown = self.call("listSessions", self.tokens["viewer"]).json()
            self.assertIn(toy.device_id, [s["device_id"] for s in shown["sessions"]])
        self.assertEqual(self.call("showDevice", self.tokens["viewer"], fill={"device_id": toy.device_id}).json()["child_id"],
                         toy.child_id)

    def test_a_store_that_cannot(self):
        owner = self.tokens["owner"]
        there = self.parameters()
        with self.server.broken_store():
            for operation_id, _, _, operation in self.document.operations():
                if operation["responses"].get("503", {}).get("$ref", "").endswith("/StoreUnavailable"):
                    with self.subTest(operation_id):
                        self.assertEqual(self.call(operation_id, owner, fill=there).status_code, 503)


class Drain(Api):
    """The operation that ends its server."""

    def test_drain(self):
        self.assertEqual(self.call("drain", self.tokens["owner"]).status_code, 202)
        self.assertEqual(self.server.process.wait(harness.PATIENCE), 0)


if __name__ == "__main__":
    harness.main()
