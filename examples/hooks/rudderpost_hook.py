"""A hook library for rudderpost, in Python: one file, nothing but the standard library.

    from rudderpost_hook import command, run

    @command("hello", "Greet a person.", access="read")
    def hello(call, name="world"):
        return {"greeting": f"Hello, {name}!"}

    run()

A command's function gets the call and the arguments by name. What it returns are the reply's arguments; None: there are
none. Failed(text, result) is a failure that it chooses, any other exception one with result 1; Failed has an error too,
a map with code, fields and data. stdout belongs to the protocol: print() goes to stderr, and so to the daemon's log. One call runs after the other. docs/reference/hooks.md is the protocol.
"""

import collections
import json
import sys
import traceback

_in, _out = sys.stdin.buffer, sys.stdout.buffer
sys.stdout = sys.stderr  # what prints must not break the frames

_commands = {}  # name: (function, introduction)
_waiting = collections.deque()  # frames that came while an answer was waited for
_calls = 0
parameters = {}  # what the configuration has for this library, from the time that run() is called
name = ""  # what the configuration calls it


class Failed(Exception):
    """A failed command, or a command of the daemon's that failed."""

    def __init__(self, text, result=1, error=None):
        super().__init__(text)
        self.result, self.error = result, error


class Call:
    """One command as one peer asked for it."""

    def __init__(self, frame):
        self.id, self.command, self.peer, self.timeout = frame["id"], frame["command"], frame["peer"], frame["timeout"]

    def daemon(self, command, **arguments):
        """Run a command of the daemon's with the rights of the caller of this call. Return its arguments."""
        global _calls
        _calls += 1
        asked = _calls
        frame = {"call": asked, "for": self.id, "command": command.replace("_", "-")}
        if arguments:
            frame["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        _say(frame)
        while True:
            answer = _hear()
            if answer is None:
                sys.exit(0)  # the daemon is gone
            if answer.get("call") != asked:
                _waiting.append(answer)
            elif answer["result"] in (0, 3):
                return answer.get("arguments")
            else:
                raise Failed(answer.get("text", ""), answer["result"], answer.get("error"))


def command(name, summary, access, arguments=None, returns=None, examples=None):
    """Make a function a command. access is "read", "write" or "admin"; arguments and returns are JSON Schemas."""

    def keep(function):
        about = {"name": name, "summary": summary, "access": access}
        about.update({k: v for k, v in (("arguments", arguments), ("returns", returns), ("examples", examples)) if v is not None})
        _commands[name] = (function, about)
        return function

    return keep


def log(text, level="info"):
    """Write a line to the daemon's log. level is "debug", "info", "warn" or "error"."""
    _say({"log": level, "text": str(text)})


def run(load=None):
    """Speak with the daemon until it closes stdin. load(parameters) may refuse to be loaded, by any exception."""
    global parameters, name
    hello = _hear()["hello"]
    parameters, name = hello["parameters"], hello["name"]
    try:
        if hello["version"] != 1:
            raise Failed("the daemon speaks version %d of the protocol, and this hook version 1" % hello["version"])
        if load is not None:
            load(parameters)
    except Exception as e:
        _say({"refuse": str(e) or repr(e)})
        return
    _say({"introduce": {"commands": [about for _, about in _commands.values()]}})
    while (frame := _waiting.popleft() if _waiting else _hear()) is not None:
        if "id" in frame:
            _answer(frame)  # a cancel comes too late: one call runs after the other


def _answer(frame):
    reply = {"id": frame["id"], "result": 0}
    if any(other.get("cancel") == frame["id"] for other in _waiting):
        _say({**reply, "result": 499, "text": "cancelled"})
        return
    try:
        function, _ = _commands[frame["command"]]
        arguments = {key.replace("-", "_"): value for key, value in (frame.get("arguments") or {}).items()}
        result = function(Call(frame), **arguments)
        if result is not None:
            json.dumps(result, allow_nan=False)  # what cannot be written is this command's failure
            reply["arguments"] = result
    except Failed as e:
        reply.update(result=e.result, text=str(e))
        if e.error is not None:
            reply["error"] = e.error
    except Exception as e:
        traceback.print_exc()
        reply.update(result=1, text=str(e) or repr(e))
    _say(reply)


def _say(frame):
    _out.write(json.dumps(frame, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n")
    _out.flush()


def _hear():
    line = _in.readline()
    return json.loads(line) if line else None
