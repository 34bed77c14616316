"""The objects of the matrix: one list, the same for every source. Written apart from the product: names, sizes and content come from here,
the product is judged by compare.py. A line of the manifest: {"key", "size", "metadata", "tags", "headers", "group"}."""
import hashlib
import json
import random

MIB = 1024 * 1024
MULTIPART = 5 * MIB   # transfer.multipart_threshold of the matrix
COPY = 16 * MIB       # transfer.single_copy_limit


def sizes():
    edges = [0, 1, 2, 4095, 4096, 4097]
    edges += [MULTIPART - 1, MULTIPART, MULTIPART + 1, 8 * MIB, 8 * MIB + 1]
    edges += [COPY - 1, COPY, COPY + 1]
    return edges


AWKWARD = [
    "a//b", "a///b", "/lead", "//lead2", "dir/", "deep/dir/", "dots/../up", "dots/./here", "..", "../climb", "./here", ".",
    "plus+sign", "per%cent", "per%2Fcent", "per%2fcent", "%2E%2E", "%41", "#hash", "ques?tion", "star*", "colon:x", "amp&ersand", "equals=x",
    "semi;colon", "at@x", "dollar$x", "comma,x", "back\\slash", "pipe|x", "tilde~x", "quote'x", 'dquote"x', "<angle>", "{brace}", "[bracket]", "^caret", "`tick`",
    " lead-space", "trail-space ", "two  spaces", "tab\tx", "new\nline", "ret\rurn", "ctl\u0001x", "vt\u000bx", "esc\u001bx", "del\u007fx", "c1\u0085x", "nonchar\ufffex",
    "caf\u00e9", "cafe\u0301", "\u212b", "\u00c5", "\U0001f600", "\ufffd", "\uffee", "\uff21", "zwj\u200dx", "rtl\u202ex", "\u2028",
    "-rf", "--flag", "=formula", "007", "1e3", "true", "null", "Case", "case", "prefix", "prefix-x", "prefix0", "prefix/child",
    "x" * 255, "long/" + "y" * 200 + "/" + "z" * 200 + "/" + "w" * 200 + "/" + "v" * 200 + "/" + "u" * 197,
    "seg256/" + "s" * 256,
]


def manifest(count):
    rng = random.Random(2026)
    objects = []

    def add(key, size, group, metadata=None, tags=None, headers=None):
        objects.append({"key": key, "size": size, "group": group, "metadata": metadata or {}, "tags": tags or {}, "headers": headers or {}})

    for i, size in enumerate(sizes()):
        add(f"sizes/plain-{size}", size, "plain")
        add(f"sizes/dressed-{size}", size, "dressed",
            metadata={"origin": f"caf\u00e9 {i}", "spaces": "a  b", "plain": "x"},
            tags={"MigratedBy": "cross-cloud migration", "size": str(size), "k+v": "a=b/c"},
            headers={"ContentType": "text/x-matrix", "CacheControl": "max-age=60", "ContentDisposition": 'attachment; filename="a b.txt"', "ContentEncoding": "identity-x", "ContentLanguage": "de"})
    add("sizes/large-64MiB", 64 * MIB, "plain", metadata={"large": "yes"})
    for size in (10, MULTIPART + 1):
        add(f"sizes/class-{size}", size, "class", headers={"StorageClass": "STANDARD_IA"})
    for i, key in enumerate(AWKWARD):
        add("awkward/" + key, 0 if key.endswith("/") else 16 + i, "awkward")
        if not key.endswith("/"):
            add(key, 16 + i, "awkward")
    while len(objects) < count:
        i = len(objects)
        add(f"many/{i % 37:02d}/{rng.randrange(16 ** 8):08x}-{i}.dat", rng.randrange(0, 4096), "plain", metadata={"n": str(i)} if i % 50 == 0 else None, tags={"n": str(i)} if i % 100 == 0 else None)
    return objects


def content(key, size):
    """Repeatable bytes: another key or another size gives other bytes from the first to the last."""
    seed = hashlib.sha256(key.encode("utf-8", "surrogateescape") + b"\0" + str(size).encode()).digest()
    if size <= 4096:
        return (seed * (size // 32 + 1))[:size]
    return random.Random(seed).randbytes(size)


if __name__ == "__main__":
    for entry in manifest(3000):
        print(json.dumps(entry))
