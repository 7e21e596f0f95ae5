#!/usr/bin/env python3
"""An independent verifier of Agent OS audit logs: RFC 6962, C2SP signed notes, docs/audit-format.md. Standard library only.

  verify.py log VKEY DIRECTORY                    every record against every checkpoint
  verify.py inclusion VKEY RECORD PROOF           files: the record's line, the proof (C2SP tlog-proof)
  verify.py consistency VKEY CHECKPOINT PROOF     files: the older checkpoint, the proof
  verify.py printed VKEY FILE                     what `agentctl audit prove SEQ` prints: the record's line, then the proof
"""
import base64, hashlib, json, pathlib, sys

sha = lambda data: hashlib.sha256(data).digest()
leaf = lambda data: sha(b"\0" + data)
node = lambda left, right: sha(b"\1" + left + right)
b64 = lambda text: base64.b64decode(text, validate=True)

def check(holds, what):
    if not holds:
        sys.exit("verify.py: " + what)

# Ed25519, RFC 8032 section 5.1; points in extended coordinates. Slow, and no secret is handled.
P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)

def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        q, p, n = add(q, p) if n & 1 else q, add(p, p), n >> 1
    return q

def point(data):
    y, sign = int.from_bytes(data, "little") & (1 << 255) - 1, data[31] >> 7
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x2, (P + 3) // 8, P)
    x = x if x * x % P == x2 else x * pow(2, (P - 1) // 4, P) % P
    check(y < P and x * x % P == x2 and (x or not sign), "not a point of the curve")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)

def signed(public, text, signature):
    s = int.from_bytes(signature[32:], "little")
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + text).digest(), "little") % Q
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    a, b = times(s, base), add(point(signature[:32]), times(h, point(public)))
    return s < Q and (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0

def checkpoint(note, vkey):
    name, key_id, key = vkey.strip().split("+", 2)
    key = b64(key)
    check(key[0] == 1 and sha(f"{name}\n".encode() + key)[:4].hex() == key_id, "the key's id is wrong")
    text, signature = note.rsplit("\n\n", 1)
    origin, size, root = (text + "\n").splitlines()[:3]
    blob = b64(signature.removeprefix(f"— {name} ").rstrip("\n"))
    check(origin == name and blob[:4].hex() == key_id, "the checkpoint is of another log or key")
    check(signed(key[1:], f"{text}\n".encode(), blob[4:]), f"the signature of the checkpoint of {size} is wrong")
    return int(size), b64(root)

def inclusion(index, size, hashed, path):  # RFC 9162 section 2.1.3.2
    check(index < size, "the record is not in the tree")
    fn, sn, path = index, size - 1, list(path)
    for sibling in path:
        check(sn > 0, "the proof is too long")
        if fn & 1 or fn == sn:
            hashed = node(sibling, hashed)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            hashed = node(hashed, sibling)
        fn, sn = fn >> 1, sn >> 1
    check(sn == 0, "the proof is too short")
    return hashed

def consistency(old, size, old_root, path):  # RFC 9162 section 2.1.4.2
    check(0 < old <= size, "the older tree is empty or the larger one")
    if old == size:
        return old_root, old_root if not path else check(False, "the proof is too long")
    path = ([old_root] if old & (old - 1) == 0 else []) + list(path)
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for sibling in path[1:]:
        check(sn > 0, "the proof is too long")
        if fn & 1 or fn == sn:
            first, second = node(sibling, first), node(sibling, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node(second, sibling)
        fn, sn = fn >> 1, sn >> 1
    check(sn == 0, "the proof is too short")
    return first, second

def log(directory, vkey):
    parts = (directory / "checkpoints").read_text().split("\n\n")
    notes = dict(checkpoint(f"{text}\n\n{signature}\n", vkey) for text, signature in zip(parts[::2], parts[1::2]))
    stack, size, compared = None, 0, 0
    for path in sorted(directory.glob("*.jsonl")):
        for number, line in enumerate(path.open("rb")):
            if number == 0:
                header = json.loads(line)
                frontier = [b64(text) for text in header["frontier"]]
                if stack is None:
                    stack, size = frontier, header["first"]
                check(frontier == stack and header["first"] == size, f"{path.name} does not follow")
                continue
            record, hashed, full = json.loads(line), leaf(line), size
            check(record["seq"] == size, f"expected record {size}, found {record['seq']}")
            while full & 1:
                hashed, full = node(stack.pop(), hashed), full >> 1
            stack, size = stack + [hashed], size + 1
            if size in notes:
                root = stack[-1]
                for left in reversed(stack[:-1]):
                    root = node(left, root)
                check(root == notes[size], f"the root of {size} records is not the signed one")
                compared += 1
    check(compared and size == max(notes), "the log does not end with a checkpoint")
    print(f"{size} records, {compared} checkpoints")

def main(what, vkey, first, second=None):
    if what == "log":
        return log(pathlib.Path(first), vkey)
    if what == "printed":
        record, proof = pathlib.Path(first).read_bytes().split(b"\n", 1)
        what, record, proof = "inclusion", record + b"\n", proof.decode()
    else:
        record, proof = pathlib.Path(first).read_bytes(), pathlib.Path(second).read_text()
    head, note = proof.split("\n\n", 1)
    lines = head.splitlines()
    size, root = checkpoint(note, vkey)
    if what == "inclusion":
        check(lines[0] == "c2sp.org/tlog-proof@v1", "not an inclusion proof")
        index = int(lines[1].removeprefix("index "))
        check(inclusion(index, size, leaf(record), map(b64, lines[2:])) == root, "it is not in the log")
    else:
        old, old_root = checkpoint(record.decode(), vkey)
        check(old == int(lines[0].removeprefix("old ")), "the proof is for another size")
        check(consistency(old, size, old_root, list(map(b64, lines[1:]))) == (old_root, root), "the log was rewritten")
    print("proved")

main(*sys.argv[1:])
