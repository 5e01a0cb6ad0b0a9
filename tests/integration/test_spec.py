"""The specifications in spec/ describe the routes that are there, and answers look as they say."""

import os
import re

import yaml

from harness import CLAIM, Case, main

SPEC = os.path.join(os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../..")), "spec")


class Spec(Case):
    def load(self, name):
        with open(os.path.join(SPEC, name)) as f:
            return yaml.safe_load(f)

    def resolve(self, document, node):
        while isinstance(node, dict) and "$ref" in node:
            target = document
            for part in node["$ref"][2:].split("/"):
                target = target[part]
            node = target
        return node

    def test_every_reference_leads_somewhere(self):
        def walk(document, node):
            if isinstance(node, dict):
                self.resolve(document, node)
                for child in node.values():
                    walk(document, child)
            elif isinstance(node, list):
                for child in node:
                    walk(document, child)
        for name in ("openapi.yaml", "asyncapi.yaml"):
            document = self.load(name)
            walk(document, document)

    def test_public_routes(self):
        shown = self.server.ctl("routes").stdout
        served = {(m, p) for m, p, who in re.findall(r"(?m)^(\w+)\s+(/\S*)\s+(\w+)", shown) if who in ("none", "device", "console")}
        served.remove(("GET", "/console/"))  # /console in the document, whose paths end in no slash
        served.add(("GET", "/console/session"))  # the handler of /console/{file} has it
        paths = self.load("openapi.yaml")["paths"]
        # Those of administrators: test_admin_spec.py.
        self.assertEqual(served, {(method.upper(), path) for path in paths for method in paths[path]
                                  if method in ("get", "post", "delete")
                                  and not path.startswith("/api/v1/admin/")})

    def test_answers(self):
        api = self.load("openapi.yaml")
        tokens = api["components"]["schemas"]["Tokens"]
        problem = api["components"]["schemas"]["Problem"]
        toy = self.server.add()
        answer = toy.post_claim()
        self.assertEqual(set(answer.json()), set(tokens["required"]))
        bodies = {400: b"{", 401: {**toy.body(), "hmac_hex": ""}, 422: {}}
        for status, body in bodies.items():
            answer = self.server.post(CLAIM, body)
            self.assertEqual(answer.status_code, status)
            self.assertIn(str(status), api["paths"][CLAIM]["post"]["responses"])
            self.assertLessEqual(set(problem["required"]), set(answer.json()))
            self.assertRegex(answer.json()["code"], problem["properties"]["code"]["pattern"])
        nonce = re.compile(api["components"]["schemas"]["Claim"]["properties"]["nonce"]["pattern"])
        for text, good in (("a b!#[]~", True), ("back\\slash", False), ('quote"quote', False), ("1234567", False)):
            self.assertEqual(bool(nonce.match(text)), good, text)


if __name__ == "__main__":
    main()
