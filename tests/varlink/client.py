"""An independent client of the control socket: the Python package `varlink`, which knows nothing of ours.

It asks the daemon for its interfaces, reads their description, and calls methods by what that description says.
Prints one JSON object, which the test judges.
"""

import json
import sys

import varlink


def error_of(call):
    """Name and parameters of the error that a call ends in."""
    try:
        call()
    except varlink.VarlinkError as error:
        return {"error": error.error(), "parameters": error.parameters()}
    return None


def main(address):
    out = {}
    with varlink.Client(address) as client:
        out["interfaces"] = client.get_interfaces()
        out["info"] = {key: client.info[key] for key in ("vendor", "product", "version")}
        members = client.get_interface("io.agentos.Control").members
        out["methods"] = sorted(name for name in members if type(members[name]).__name__ == "_Method")
        with client.open("io.agentos.Control") as control:
            out["doctor"] = control.Doctor()["checks"]
            out["list"] = [agent["name"] for agent in control.List(all=False)["agents"]]
            out["policy"] = control.Inspect(name="witness")["details"]["agent"]["policy"]
            out["unknown"] = error_of(lambda: control.Inspect(name="nobody"))
            out["bad_name"] = error_of(lambda: control.Inspect(name="../etc"))
            out["pages"] = [agent["name"] for page in control.List(all=True, _more=True) for agent in page["agents"]]
            out["started"] = control.Run(command=["/bin/sleep", "60"], name="by-python", policy={"profile": "base"})["name"]
            out["killed"] = control.Kill(name="by-python", signal="KILL")["effect"]
            out["exit"] = control.Wait(name="by-python")["exit"]["reason"]
    print(json.dumps(out))


main(sys.argv[1])
