#!/usr/bin/env python3
from rudderpost_hook import command, run

NAME = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 40}}, "additionalProperties": False}


@command("hello", "Greet a person, from this daemon.", access="read", arguments=NAME)
def hello(call, name="world"):
    version = call.daemon("version-get")
    return {"greeting": f"Hello, {name}!", "version": version}


run()
