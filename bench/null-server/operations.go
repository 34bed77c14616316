package main

import "strings"

// own is where brigade keeps what is its own at a destination: canaries and the journal.
const own = ".brigade/"

// countedAs is the operation, for keys of brigade's own with that folder behind it: what is moved and what is written about it are told apart.
func countedAs(r *request, op string) string {
	if strings.HasPrefix(r.key, own) {
		return op + " " + own
	}
	return op
}

// operation is the API's name for a request.
func operation(r *request) string {
	if r.bucket == "" {
		return "ListBuckets"
	}
	if r.key == "" {
		return bucketOperation(r)
	}
	switch {
	case r.has("tagging"):
		return title(r.method) + "ObjectTagging"
	case r.method == "POST" && r.has("uploads"):
		return "CreateMultipartUpload"
	case r.method == "POST" && r.has("uploadId"):
		return "CompleteMultipartUpload"
	case r.method == "PUT" && r.has("uploadId") && r.copySource != "":
		return "UploadPartCopy"
	case r.method == "PUT" && r.has("uploadId"):
		return "UploadPart"
	case r.method == "GET" && r.has("uploadId"):
		return "ListParts"
	case r.method == "DELETE" && r.has("uploadId"):
		return "AbortMultipartUpload"
	case r.method == "PUT" && r.copySource != "":
		return "CopyObject"
	}
	return title(r.method) + "Object"
}

func title(method string) string {
	return method[:1] + strings.ToLower(method[1:])
}

func bucketOperation(r *request) string {
	switch {
	case r.method == "HEAD":
		return "HeadBucket"
	case r.method == "PUT" && len(r.query) == 0:
		return "CreateBucket"
	case r.method == "GET" && r.has("uploads"):
		return "ListMultipartUploads"
	case r.method == "GET" && (r.has("list-type") || r.has("prefix") || r.has("encoding-type") || r.has("max-keys") || len(r.query) == 0):
		return "ListObjects"
	}
	for name := range r.query {
		return title(r.method) + "Bucket?" + name
	}
	return title(r.method) + "Bucket"
}
