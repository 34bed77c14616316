"""Fills a source. seed.py s3 ENDPOINT BUCKET COUNT | seed.py file FOLDER COUNT. Prints one JSON line:
{"refused": {key: the store's word}, "lossy": {key as it is listed: key}}. Only awkward names may be refused; anything else ends the seeding.
A store that answers 200 and keeps the object under another name is found out by reading every awkward key back."""
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from clients import list_all, s3_client
from fixture import MULTIPART, content, manifest

MIB = 1024 * 1024
UNLISTED = "readable but not listed"


def seed_bucket(endpoint, bucket, count):
    client, once = s3_client(endpoint), s3_client(endpoint, attempts=1)
    client.create_bucket(Bucket=bucket)
    objects = manifest(count)
    # Awkward keys one after another: where a server folds names together, the last one wins and the first is found damaged below.
    refused = {}
    for entry in [o for o in objects if o["group"] == "awkward"]:
        try:
            put(once, bucket, entry)
        except Exception as error:  # whatever the server or the client says is the answer we keep
            refused[entry["key"]] = f"not stored: {error}"[:160]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: put_any_class(client, bucket, entry), [o for o in objects if o["group"] != "awkward"]))
    stored = [o for o in objects if o["group"] == "awkward" and o["key"] not in refused]
    listed = {o["Key"] for o in list_all(client, bucket)}
    unfaithful = {entry["key"]: word for entry in stored if (word := damage(client, bucket, entry, listed)) is not None}
    lossy = keep_one_lossy(unfaithful, listed, {o["key"] for o in objects})
    # Never what was not stored: a server that folds `bucket/.` would delete the bucket.
    for key in unfaithful:
        if key not in lossy.values():
            client.delete_object(Bucket=bucket, Key=key)
    return {"refused": {**refused, **unfaithful}, "lossy": lossy}


def put_any_class(client, bucket, entry):
    """A server without that storage class gets the object in its own."""
    try:
        put(client, bucket, entry)
    except ClientError:
        if entry["group"] != "class":
            raise
        put(client, bucket, {**entry, "headers": {}})


def damage(client, bucket, entry, listed):
    try:
        got = client.get_object(Bucket=bucket, Key=entry["key"])["Body"].read()
    except Exception as error:
        return f"not readable: {error}"[:160]
    if got != content(entry["key"], entry["size"]):
        return "holds another key's bytes"
    return None if entry["key"] in listed else UNLISTED


def keep_one_lossy(unfaithful, listed, known):
    """One key that is listed with U+FFFD in place of what it holds stays, so that a migration has to say so (F038)."""
    for key in sorted(k for k, word in unfaithful.items() if word == UNLISTED):
        shown = [s for s in listed - known if "\ufffd" in s and len(s) == len(key) and all(a == b or a == "\ufffd" for a, b in zip(s, key))]
        if shown:
            return {shown[0]: key}
    return {}


def put(client, bucket, entry):
    key, body = entry["key"], content(entry["key"], entry["size"])
    dress = {"Metadata": wire(entry["metadata"]), **entry["headers"]}
    if entry["tags"]:
        dress["Tagging"] = tagging(entry["tags"])
    if entry["size"] > MULTIPART:
        put_parts(client, bucket, entry, body, dress)
    else:
        client.put_object(Bucket=bucket, Key=key, Body=body, **dress)
    if entry["tags"]:
        settle_tags(client, bucket, entry)


def put_parts(client, bucket, entry, body, dress):
    upload = client.create_multipart_upload(Bucket=bucket, Key=entry["key"], **dress)["UploadId"]
    parts = []
    for number, at in enumerate(range(0, len(body), 5 * MIB), 1):
        answer = client.upload_part(Bucket=bucket, Key=entry["key"], UploadId=upload, PartNumber=number, Body=body[at:at + 5 * MIB])
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(Bucket=bucket, Key=entry["key"], UploadId=upload, MultipartUpload={"Parts": parts})


def settle_tags(client, bucket, entry):
    """Servers that lose or garble tags on the way are told once more: the source is to have them."""
    found = client.get_object_tagging(Bucket=bucket, Key=entry["key"]).get("TagSet", [])
    if {t["Key"]: t["Value"] for t in found} != entry["tags"]:
        client.put_object_tagging(Bucket=bucket, Key=entry["key"], Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in entry["tags"].items()]})


def wire(metadata):
    from email.header import Header
    return {k: (v if v.isascii() else Header(v, "utf-8").encode()) for k, v in metadata.items()}


def tagging(tags):
    from urllib.parse import quote, urlencode
    return urlencode(tags, quote_via=quote)


def seed_folder(folder, count):
    refused = {}
    for entry in manifest(count):
        path = os.path.join(folder, entry["key"])
        if entry["key"].startswith("/") or os.path.normpath(path) != path.rstrip("/") or "//" in entry["key"]:
            refused[entry["key"]] = "no file name"
            continue
        try:
            os.makedirs(path if entry["key"].endswith("/") else os.path.dirname(path), exist_ok=True)
            if not entry["key"].endswith("/"):
                with open(path, "xb") as file:
                    file.write(content(entry["key"], entry["size"]))
                os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_123_456_000 + entry["size"]))
        except OSError as error:
            refused[entry["key"]] = error.strerror
    return {"refused": refused, "lossy": {}}


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    print(json.dumps(seed_bucket(rest[0], rest[1], int(rest[2])) if kind == "s3" else seed_folder(rest[0], int(rest[1]))))
