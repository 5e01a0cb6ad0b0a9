#!/usr/bin/env python3
"""A processor for exec_command: a line of JSON for each utterance on stdin, the answer on stdout (docs/processors.md)."""
import json
import sys

for line in sys.stdin:
    asked = json.loads(line)
    if "cancel" in asked:
        continue  # the toy does not want this answer any more; here there is nothing to stop
    name = asked["profile"].get("name", "my friend")
    print(json.dumps({"id": asked["id"], "text": f"You said: {asked['text']}. ", "done": False}), flush=True)
    print(json.dumps({"id": asked["id"], "text": f"Tell me more, {name}!", "done": True}), flush=True)
