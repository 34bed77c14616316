"""The judge of one migration, apart from the product. Reads one JSON object from stdin, prints one line, exit 1 on any difference:

  source, destination   {"s3": endpoint, "bucket": …, "kind": server} | {"file": folder}
  failed, skipped       {key: code}, as the product reported
  lost                  {key: [attribute, …]}, as the product reported
  refusable             {key: why}: what the destination was found not to hold when it was seeded, without the product
  cache                 file for the checksums of the source, which are good as long as its versions are the same

Both sides are read from raw storage. Every source object must stand at the destination with the same bytes, metadata, tags and headers; or be
reported, for a reason that was measured, and be absent there; nothing else may stand there. An attribute may be lost only where the server is
known to lose it, only if the product said so for this very object, and it must not have said so otherwise."""
import hashlib
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from email.header import decode_header, make_header
from urllib.parse import quote_plus, unquote

from clients import list_all, s3_client
from fixture import MULTIPART

HEADERS = ["ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage"]
NO_TYPE = ("binary/octet-stream", "application/octet-stream", "")
NAMES = {"headers": "content_headers", "metadata": "user_metadata", "tags": "tags", "class": "storage_class"}
# Servers with these take any class of Amazon; the others know their own only.
CLASSES = ("seaweedfs",)


def loses(kind, key, size):
    """Headers that a server drops, measured (test/servers/probe)."""
    if kind != "seaweedfs":
        return set()
    return {"ContentLanguage"} | ({"CacheControl", "ContentDisposition"} if size > MULTIPART else set())


def made_up(kind, key, header, value):
    """Headers that a server shows although nobody sent them."""
    if kind == "seaweedfs" and header == "ContentDisposition":
        return value == f'inline; filename="{quote_plus(key.rsplit("/", 1)[-1])}"'
    if kind == "seaweedfs" and header == "ContentType":
        return value.startswith("text/plain")  # guessed from the first bytes
    return kind == "versitygw" and header == "ContentType" and key.endswith("/") and value == "application/x-directory"


class Bucket:
    posix = False

    def __init__(self, spec):
        self.client, self.bucket, self.kind = s3_client(spec["s3"]), spec["bucket"], spec["kind"]
        found = {o["Key"]: o for o in list_all(self.client, self.bucket) if not o["Key"].startswith(".brigade/")}
        self.keys = {key: o["Size"] for key, o in found.items()}
        self.tokens = {key: o["ETag"] for key, o in found.items()}

    def digest(self, key):
        body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
        digest = hashlib.sha256()
        for chunk in body.iter_chunks(1 << 20):
            digest.update(chunk)
        return digest.hexdigest()

    def dress(self, key):
        head = self.client.head_object(Bucket=self.bucket, Key=key)
        tags = self.client.get_object_tagging(Bucket=self.bucket, Key=key).get("TagSet", [])
        headers = {h: head[h] for h in HEADERS if h in head and head[h] not in NO_TYPE}
        return {"metadata": decoded(head["Metadata"]), "tags": {t["Key"]: t["Value"] for t in tags}, "headers": headers,
                "class": {} if head.get("StorageClass", "STANDARD") == "STANDARD" else head["StorageClass"]}

    def leftovers(self):
        return [u["Key"] for u in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]


def decoded(metadata):
    """The documented rule of values: RFC 2047 words, and percent-encoding for the names that brigade-encoded lists."""
    metadata = {k.lower(): v for k, v in metadata.items()}
    percent = metadata.pop("brigade-encoded", "").split(",")
    return {k: unquote(v) if k in percent else str(make_header(decode_header(v))) for k, v in metadata.items()}


class Folder:
    posix, kind = True, "file"

    def __init__(self, spec, escaped):
        self.root, self.escaped, self.keys, self.paths, self.tokens = spec["file"].encode(), escaped, {}, {}, {}
        for folder, folders, files in os.walk(self.root):
            if folder == self.root and b".brigade" in folders:
                folders.remove(b".brigade")
            relative = os.path.relpath(folder, self.root)
            if not folders and not files and relative != b".":
                self.add(relative + b"/", folder, 0)
            for name in files:
                path = os.path.join(folder, name)
                self.add(os.path.relpath(path, self.root), path, os.stat(path).st_size)

    def add(self, relative, path, size):
        key = self.decode(relative).decode("utf-8", "surrogateescape")
        self.keys[key], self.paths[key], self.tokens[key] = size, path, str(os.stat(path).st_ctime_ns)

    def decode(self, relative):
        """The documented rule of names: %2F an empty segment, %2E and %2E%2E dots, %00 NUL, one 25 more behind a literal one."""
        if not self.escaped:
            return relative
        whole = {b"%2F": b"", b"%2E": b".", b"%2E%2E": b".."}
        directory = relative.endswith(b"/")
        names = []
        for name in relative.rstrip(b"/").split(b"/"):
            if name in whole:
                name = whole[name]
            elif re.fullmatch(rb"%(?:25)+(?:2F|2E|2E%2E)", name):
                name = b"%" + name[3:]
            else:
                name = re.sub(rb"%(?:25)*00", lambda m: b"\0" if m.group() == b"%00" else b"%" + m.group()[3:], name)
            names.append(name)
        return b"/".join(names) + (b"/" if directory else b"")

    def digest(self, key):
        if os.path.isdir(self.paths[key]):
            return hashlib.sha256(b"").hexdigest()
        with open(self.paths[key], "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def mtime(self, key):
        ns = os.stat(self.paths[key]).st_mtime_ns
        return f"{ns // 10**9}.{ns % 10**9:09d}"

    def leftovers(self):
        return [k for k in self.keys if k.endswith((".brigade.part", ".brigade.parts"))]


class Judge:
    def __init__(self, spec):
        self.spec, self.wrong, self.dressed = spec, [], 0
        self.source, self.destination = (
            Bucket(spec[s]) if "s3" in spec[s] else Folder(spec[s], s == "destination" and "s3" in spec["source"]) for s in ("source", "destination"))
        self.excused = {**spec["failed"], **spec["skipped"]}
        self.known = {}
        if os.path.exists(spec["cache"]):
            with open(spec["cache"]) as file:
                self.known = json.load(file)

    def run(self):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.check, list(self.source.keys)))
        for key in self.destination.keys:
            if key not in self.source.keys and not (self.source.posix and key.endswith("/")):
                self.say(key, "stands at the destination only")
        for key in self.excused:
            if key not in self.source.keys:
                self.say(key, f"reported {self.excused[key]} but is not at the source")
        with open(self.spec["cache"], "w") as file:
            json.dump(self.known, file)
        left = self.destination.leftovers()
        print(json.dumps({
            "source": len(self.source.keys), "destination": len(self.destination.keys), "excused": len(self.excused), "dressed": self.dressed,
            "wrong": self.wrong[:40], "wrong_count": len(self.wrong), "open_uploads": left}))
        return 1 if self.wrong or left else 0

    def say(self, key, what):
        self.wrong.append([key, what])

    def check(self, key):
        source, destination = self.source, self.destination
        if key in self.excused:
            return self.check_excused(key)
        if destination.posix and key.endswith("/") and source.keys[key] == 0:
            if not os.path.isdir(os.path.join(destination.root, key.encode())) and key not in destination.keys:
                self.say(key, "no such directory")
        elif key not in destination.keys:
            self.say(key, "LOST")
        elif source.keys[key] != destination.keys[key]:
            self.say(key, f"size {destination.keys[key]}, not {source.keys[key]}")
        elif self.source_digest(key) != destination.digest(key):
            self.say(key, "other bytes")
        # Attributes of a sixteenth of the many: they are alike.
        elif not key.startswith("many/") or hashlib.sha1(key.encode()).digest()[0] < 16:
            self.check_dress(key)

    def check_excused(self, key):
        code = self.excused[key]
        if key in self.destination.keys:
            self.say(key, f"reported {code} but stands at the destination")
        if key in self.spec["skipped"]:
            if not (code == "empty_directory" and self.source.posix and not self.destination.posix and key.endswith("/")):
                self.say(key, f"skipped as {code}")
        elif not self.refusable(key, code):
            self.say(key, f"failed with {code}, but the destination holds such a key")

    def refusable(self, key, code):
        if code == "E_LIST_LOSSY":
            return "\ufffd" in key
        if code == "E_NAME_COLLISION":
            return any(other.startswith(key + "/") for other in self.source.keys)
        if self.destination.posix:
            return code == "E_NAME_TOO_LONG" and any(len(name.encode()) > 255 for name in key.split("/"))
        return key in self.spec["refusable"]

    def source_digest(self, key):
        token = self.source.tokens[key]
        if self.known.get(key, [None])[0] != token:
            self.known[key] = [token, self.source.digest(key)]
        return self.known[key][1]

    def check_dress(self, key):
        self.dressed += 1
        said = set(self.spec["lost"].get(key, []))
        if self.source.posix:
            if not self.destination.posix:
                self.check_mtime(key)
            if said:
                self.say(key, f"reported {sorted(said)} as lost, of a file")
            return
        ours = self.source.dress(key)
        if self.destination.posix:
            lost = {NAMES[part] for part, value in ours.items() if value}
        else:
            theirs = self.destination.dress(key)
            lost = set(self.header_losses(key, ours["headers"], theirs["headers"]))
            for part in ("metadata", "tags", "class"):
                if part == "class" and ours[part] and not theirs[part] and self.destination.kind not in CLASSES:
                    lost.add(NAMES[part])
                elif ours[part] != theirs[part]:
                    self.say(key, f"{part} {ours[part]} became {theirs[part]}")
        if said != lost:
            self.say(key, f"lost {sorted(lost)}, reported {sorted(said)}")

    def header_losses(self, key, ours, theirs):
        kind, losing = self.destination.kind, loses(self.destination.kind, key, self.source.keys[key])
        for header in sorted({*ours, *theirs}):
            nothing = header not in theirs or made_up(kind, key, header, theirs[header])
            if header in ours and header in losing and nothing:
                yield "content_headers"
            elif ours.get(header) != theirs.get(header) and (header in ours or not nothing):
                self.say(key, f"{header} {ours.get(header)} became {theirs.get(header)}")

    def check_mtime(self, key):
        found = self.destination.dress(key)["metadata"].get("mtime")
        if found != self.source.mtime(key):
            self.say(key, f"mtime {self.source.mtime(key)} became {found}")


if __name__ == "__main__":
    sys.exit(Judge(json.load(sys.stdin)).run())
