"""The documents in spec/, and whether what goes over the wire is as they say."""

import os

import jsonschema
import yaml

FOLDER = os.path.join(os.environ.get("TEST_SOURCE", os.path.join(os.path.dirname(__file__), "../..")), "spec")
ADMIN = "/api/v1/admin"
METHODS = ("get", "put", "post", "delete", "patch")


class Document:
    def __init__(self, name):
        with open(os.path.join(FOLDER, name)) as f:
            self.all = yaml.safe_load(f)
        self.resolver = jsonschema.RefResolver("", self.all)

    def resolve(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def validate(self, schema, value):
        jsonschema.Draft202012Validator(schema, resolver=self.resolver).validate(value)

    def check_references(self):
        def walk(node):
            if isinstance(node, dict):
                self.resolve(node)
            for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
                walk(child)
        walk(self.all)


class OpenApi(Document):
    def __init__(self):
        super().__init__("openapi.yaml")

    def operations(self, under="/"):
        """(operationId, method, path, the operation) of those paths."""
        for path, item in self.all["paths"].items():
            if path.startswith(under):
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
        if "content" not in known:
            return
        media = answer.headers["Content-Type"].split(";")[0]
        assert media in known["content"], (media, answer.status_code)
        self.validate(known["content"][media]["schema"], answer.json())


class AsyncApi(Document):
    def __init__(self):
        super().__init__("asyncapi.yaml")
        self.messages = self.all["components"]["messages"]

    def names(self, operation):
        return [m["$ref"].rsplit("/", 1)[1] for m in self.all["operations"][operation]["messages"]]

    def example(self, name):
        return self.messages[name]["examples"][0]["payload"]

    def check(self, name, message):
        """A message is as documented, and has no member that is not."""
        payload = self.messages[name]["payload"]
        self.validate(payload, message)
        if payload["type"] == "object" and not payload.get("additionalProperties"):
            assert set(message) <= set(payload["properties"]), (name, message)
