# An agent's checked work: asks for a file to be written, looks whether it was, says what it was told. A connection that
# ends is made anew: a daemon died, and whether the last request was carried out is for the next try to find out.
import json
import os
import socket
import sys
import time

place, name = sys.argv[1], sys.argv[2]
connection = None


def call(action, params):
    global connection
    if connection is None:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect("/run/agentos/kernel.sock")
    request = {"method": "io.agentos.Kernel.Execute", "parameters": {"action": action, "params": params}}
    connection.sendall(json.dumps(request).encode() + b"\0")
    reply = b""
    while not reply.endswith(b"\0"):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionResetError
        reply += piece
    return json.loads(reply[:-1])["parameters"]


def say(**words):
    print(json.dumps(words), flush=True)


number = 0
while True:
    number += 1
    path = f"{place}/{name}-{number}"
    try:
        reply = call("file_write", {"path": path, "content": str(number), "mode": "create"})
    except OSError as error:
        say(lost=str(error) or type(error).__name__)
        connection = None
        time.sleep(0.02)
        continue
    if reply.get("success"):
        there = os.path.exists(path) and open(path).read() == str(number)
        say(done=number, seq=reply["audit_seq"], there=there)
    else:
        reason = reply.get("error", {}).get("reason", str(reply))
        say(refused=reason)
        # What nobody allowed, or nobody began, is not there.
        if reason != "interrupted" and os.path.exists(path):
            say(wrong=path)
        time.sleep(0.02)
    try:
        with open("/mem/working/n", "w") as file:
            file.write(str(number))
    except OSError as error:
        # The server of its files died.
        say(lost=f"/mem/working: {error}")
