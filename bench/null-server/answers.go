package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var modified = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
var (
	modifiedHTTP = modified.Format(http.TimeFormat)
	modifiedXML  = modified.Format("2006-01-02T15:04:05.000Z")
)

func (s *server) answer(c *connection, r *request) error {
	if strings.HasPrefix(r.bucket, "_") {
		return s.control(c, r)
	}
	// Bodies of requests that are not about bytes are read too: the next request stands behind them.
	body, err := c.readBody(r)
	if err != nil {
		return err
	}
	op := operation(r)
	if !s.limits.allow(r.bucket) {
		s.counts.add(r.bucket, "Refused", 0)
		return c.fail(r, 503, "SlowDown")
	}
	s.counts.add(r.bucket, countedAs(r, op), body.size)
	if r.bucket == "" {
		return c.xml(200, []byte("<ListAllMyBucketsResult><Owner><ID>null</ID></Owner><Buckets></Buckets></ListAllMyBucketsResult>"))
	}
	b := s.store.bucket(r.bucket)
	if b == nil && op != "CreateBucket" {
		return c.fail(r, 404, "NoSuchBucket")
	}
	if r.key == "" {
		return s.aboutBucket(c, r, b, op)
	}
	return s.aboutObject(c, r, b, op, body)
}

func (s *server) aboutBucket(c *connection, r *request, b bucket, op string) error {
	switch op {
	case "HeadBucket":
		return c.empty(200)
	case "CreateBucket":
		if b == nil {
			s.store.setBucket(r.bucket, &written{})
		}
		return c.empty(200)
	case "ListObjects":
		return s.list(c, r, b)
	case "ListMultipartUploads":
		return s.listUploads(c, r)
	case "GetBucket?location":
		return c.xml(200, []byte(`<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">us-east-1</LocationConstraint>`))
	case "GetBucket?versioning":
		return c.xml(200, []byte(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></VersioningConfiguration>`))
	}
	return c.fail(r, 501, "NotImplemented")
}

func (s *server) list(c *connection, r *request, b bucket) error {
	most := 1000
	if n, err := strconv.Atoi(r.query["max-keys"]); err == nil && n < most {
		most = n
	}
	prefix, delimiter, encode := r.query["prefix"], r.query["delimiter"], r.query["encoding-type"] == "url"
	after, equal := r.query["start-after"], false
	if v1 := r.query["marker"]; v1 != "" {
		after = v1
	}
	if token := r.query["continuation-token"]; token != "" {
		after = strings.TrimPrefix(token, "after:")
	}
	if after < prefix {
		after, equal = prefix, true
	}
	page := make([]byte, 0, 400*most)
	var last, lastPrefix string
	keys, truncated := 0, false
	b.from(after, equal, func(o *object) bool {
		if !strings.HasPrefix(o.key, prefix) {
			return false
		}
		common := ""
		if delimiter != "" {
			if at := strings.Index(o.key[len(prefix):], delimiter); at >= 0 {
				common = o.key[:len(prefix)+at+len(delimiter)]
			}
		}
		if common != "" && (common == lastPrefix || strings.HasPrefix(after, common)) {
			last = o.key
			return true
		}
		if keys == most {
			truncated = true
			return false
		}
		keys++
		last = o.key
		if common != "" {
			lastPrefix = common
			page = append(append(append(page, "<CommonPrefixes><Prefix>"...), inXML(common, encode)...), "</Prefix></CommonPrefixes>"...)
			return true
		}
		page = appendContents(page, o, encode)
		return true
	})
	return c.xml(200, listingDocument(page, r, keys, truncated, last, encode))
}

func listingDocument(page []byte, r *request, keys int, truncated bool, last string, encode bool) []byte {
	out := make([]byte, 0, len(page)+700)
	out = append(out, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>`...)
	out = append(append(out, r.bucket...), "</Name><Prefix>"...)
	out = append(append(out, inXML(r.query["prefix"], encode)...), "</Prefix><MaxKeys>1000</MaxKeys>"...)
	if r.query["list-type"] == "2" {
		out = append(strconv.AppendInt(append(out, "<KeyCount>"...), int64(keys), 10), "</KeyCount>"...)
	}
	if encode {
		out = append(out, "<EncodingType>url</EncodingType>"...)
	}
	out = append(strconv.AppendBool(append(out, "<IsTruncated>"...), truncated), "</IsTruncated>"...)
	if truncated && r.query["list-type"] == "2" {
		out = append(append(append(out, "<NextContinuationToken>after:"...), inXML(last, false)...), "</NextContinuationToken>"...)
	} else if truncated {
		out = append(append(append(out, "<NextMarker>"...), inXML(last, encode)...), "</NextMarker>"...)
	}
	return append(append(out, page...), "</ListBucketResult>"...)
}

func appendContents(page []byte, o *object, encode bool) []byte {
	page = append(append(page, "<Contents><Key>"...), inXML(o.key, encode)...)
	page = append(append(page, "</Key><LastModified>"...), modifiedXML...)
	page = append(append(page, "</LastModified><ETag>&quot;"...), o.etagText()...)
	page = strconv.AppendInt(append(page, "&quot;</ETag><Size>"...), o.size, 10)
	return append(page, "</Size><StorageClass>STANDARD</StorageClass></Contents>"...)
}

// inXML is the key as a page shows it; plain keys, which is all of the made-up ones, cost nothing.
func inXML(key string, encode bool) string {
	plain := true
	for i := 0; i < len(key) && plain; i++ {
		ch := key[i]
		plain = ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '-' && ch <= '9' || ch == '_' || ch == ':'
	}
	if plain {
		return key
	}
	if encode {
		return strings.ReplaceAll(url.QueryEscape(key), "%2F", "/")
	}
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(key)
}

func (s *server) listUploads(c *connection, r *request) error {
	s.store.mutex.Lock()
	var out bytes.Buffer
	out.WriteString("<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>")
	for _, u := range s.store.uploads {
		if u.bucket == r.bucket && strings.HasPrefix(u.key, r.query["prefix"]) {
			out.WriteString("<Upload><Key>" + inXML(u.key, false) + "</Key><UploadId>" + u.id + "</UploadId><Initiated>" + modifiedXML + "</Initiated></Upload>")
		}
	}
	s.store.mutex.Unlock()
	out.WriteString("</ListMultipartUploadsResult>")
	return c.xml(200, out.Bytes())
}

func (s *server) aboutObject(c *connection, r *request, b bucket, op string, body bodyDigest) error {
	switch op {
	case "GetObject", "HeadObject":
		return s.read(c, r, b)
	case "PutObject":
		return s.put(c, r, b, body)
	case "DeleteObject":
		b.remove(r.key)
		return c.empty(204)
	case "CopyObject":
		return s.copyObject(c, r, b)
	case "CreateMultipartUpload":
		return s.createUpload(c, r)
	case "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "AbortMultipartUpload", "ListParts":
		return s.aboutUpload(c, r, b, op, body)
	case "GetObjectTagging":
		return c.xml(200, []byte("<Tagging><TagSet></TagSet></Tagging>"))
	}
	return c.fail(r, 501, "NotImplemented")
}

func (s *server) read(c *connection, r *request, b bucket) error {
	o, found := b.get(r.key)
	if !found {
		return c.fail(r, 404, "NoSuchKey")
	}
	etag := o.etagText()
	if r.ifMatch != "" && r.ifMatch != etag {
		return c.fail(r, 412, "PreconditionFailed")
	}
	from, end, ok := rangeOf(r.rng, o.size)
	if !ok {
		return c.fail(r, 416, "InvalidRange")
	}
	if r.rng != "" {
		c.head(206)
		c.field("content-range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(end-1, 10)+"/"+strconv.FormatInt(o.size, 10))
	} else {
		c.head(200)
	}
	c.field("etag", `"`+etag+`"`)
	c.field("last-modified", modifiedHTTP)
	c.field("content-type", "application/octet-stream")
	c.field("accept-ranges", "bytes")
	if o.hasCRC && r.rng == "" {
		c.field("x-amz-checksum-crc32", crcText(o.crc))
		c.field("x-amz-checksum-type", "FULL_OBJECT")
	}
	c.length(end - from)
	if r.method == "HEAD" {
		return c.send()
	}
	s.counts.out.Add(end - from)
	index := 0
	if m, ok := b.(*madeup); ok {
		index, _ = m.indexOf(r.key)
	}
	return c.sendContent(windowOf(index)+from, end-from)
}

// sendContent sends small bodies together with their head.
func (c *connection) sendContent(at, length int64) error {
	place := at % blockLength
	if length <= smallBody {
		c.out = append(c.out, block[place:place+length]...)
		return c.send()
	}
	if err := c.send(); err != nil {
		return err
	}
	for length > 0 {
		piece := min(length, blockLength)
		if _, err := c.conn.Write(block[place : place+piece]); err != nil {
			return err
		}
		length -= piece
		place = (place + piece) % blockLength
	}
	return nil
}

func rangeOf(text string, size int64) (int64, int64, bool) {
	if text == "" {
		return 0, size, true
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	if !ok {
		return 0, 0, false
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if first == "" {
		suffix, err := strconv.ParseInt(last, 10, 64)
		return max(0, size-suffix), size, err == nil && suffix > 0 && size > 0
	}
	end := size
	if last != "" {
		to, err := strconv.ParseInt(last, 10, 64)
		if err != nil || to < from {
			return 0, 0, false
		}
		end = min(size, to+1)
	}
	return from, end, err == nil && from < size
}

// written is what is remembered of a body: its MD5 where it is small or the client sent it, else a number of its own.
func (s *server) written(r *request, body bodyDigest) object {
	o := object{key: strings.Clone(r.key), size: body.size}
	if sum, err := base64.StdEncoding.DecodeString(r.contentMD5); err == nil && len(sum) == 16 {
		copy(o.etag[:], sum)
	} else if body.small != nil || body.size == 0 {
		o.etag = md5.Sum(body.small)
	} else {
		binary.BigEndian.PutUint64(o.etag[:], splitmix(s.counts.serial.Add(1)))
		binary.BigEndian.PutUint64(o.etag[8:], uint64(body.size))
	}
	if sum, err := base64.StdEncoding.DecodeString(r.sentCRC(body)); err == nil && len(sum) == 4 {
		o.crc, o.hasCRC = binary.BigEndian.Uint32(sum), true
	}
	return o
}

// sentCRC is the CRC-32 in a header or in the trailer.
func (r *request) sentCRC(body bodyDigest) string {
	if r.crc32 != "" || body.tail == nil {
		return r.crc32
	}
	at := bytes.LastIndex(body.tail, []byte("x-amz-checksum-crc32:"))
	if at < 0 {
		return ""
	}
	value, _, _ := strings.Cut(string(body.tail[at+len("x-amz-checksum-crc32:"):]), "\r")
	return strings.TrimSpace(value)
}

// badDigest: only CRC-32 is checked, as the cheapest; other kinds are refused by their silence in the answer.
func badDigest(r *request, body bodyDigest) bool {
	return r.decodedLength == "" && r.crc32 != "" && r.crc32 != body.crcBase64()
}

func (s *server) put(c *connection, r *request, b bucket, body bodyDigest) error {
	if r.ifNoneMatch != "" || r.ifMatch != "" {
		old, found := b.get(r.key)
		if r.ifMatch != "" && !found {
			return c.fail(r, 404, "NoSuchKey")
		}
		if (r.ifNoneMatch == "*" && found) || (r.ifMatch != "" && r.ifMatch != old.etagText()) {
			return c.fail(r, 412, "PreconditionFailed")
		}
	}
	if badDigest(r, body) {
		return c.fail(r, 400, "BadDigest")
	}
	o := s.written(r, body)
	b.put(o)
	return c.stored(&o)
}

func (c *connection) stored(o *object) error {
	c.head(200)
	c.field("etag", `"`+o.etagText()+`"`)
	if o.hasCRC {
		c.field("x-amz-checksum-crc32", crcText(o.crc))
	}
	c.length(0)
	return c.send()
}

func crcText(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

func (s *server) sourceOf(r *request) (object, bool) {
	path, _, _ := strings.Cut(strings.TrimPrefix(r.copySource, "/"), "?")
	plain, err := url.PathUnescape(path)
	if err != nil {
		return object{}, false
	}
	name, key, _ := strings.Cut(plain, "/")
	b := s.store.bucket(name)
	if b == nil {
		return object{}, false
	}
	return b.get(key)
}

func (s *server) copyObject(c *connection, r *request, b bucket) error {
	o, found := s.sourceOf(r)
	if !found {
		return c.fail(r, 404, "NoSuchKey")
	}
	o.key = strings.Clone(r.key)
	b.put(o)
	return c.xml(200, []byte(`<CopyObjectResult><ETag>&quot;`+o.etagText()+`&quot;</ETag><LastModified>`+modifiedXML+`</LastModified></CopyObjectResult>`))
}

func (s *server) createUpload(c *connection, r *request) error {
	u := s.store.begin(r.bucket, strings.Clone(r.key), r.checksumType == "FULL_OBJECT")
	document := []byte(`<InitiateMultipartUploadResult><Bucket>` + r.bucket + `</Bucket><Key>` + inXML(r.key, false) + `</Key><UploadId>` + u.id + `</UploadId></InitiateMultipartUploadResult>`)
	c.head(200)
	c.field("content-type", "application/xml")
	if u.fullObject {
		c.field("x-amz-checksum-algorithm", "CRC32")
		c.field("x-amz-checksum-type", "FULL_OBJECT")
	}
	c.length(int64(len(document)))
	c.out = append(c.out, document...)
	return c.send()
}

func (s *server) aboutUpload(c *connection, r *request, b bucket, op string, body bodyDigest) error {
	u := s.store.upload(r.query["uploadId"])
	if u == nil {
		return c.fail(r, 404, "NoSuchUpload")
	}
	u.mutex.Lock()
	defer u.mutex.Unlock()
	switch op {
	case "AbortMultipartUpload":
		s.store.end(u.id)
		return c.empty(204)
	case "ListParts":
		return s.listParts(c, u)
	case "CompleteMultipartUpload":
		return s.complete(c, r, b, u)
	}
	number, err := strconv.Atoi(r.query["partNumber"])
	if err != nil {
		return c.fail(r, 400, "InvalidArgument")
	}
	if op == "UploadPartCopy" {
		return s.copyPart(c, r, u, number)
	}
	if badDigest(r, body) {
		return c.fail(r, 400, "BadDigest")
	}
	part := s.written(r, body)
	u.parts[number] = part
	return c.stored(&part)
}

func (s *server) copyPart(c *connection, r *request, u *upload, number int) error {
	o, found := s.sourceOf(r)
	from, end, ok := rangeOf(r.copyRange, o.size)
	if !found || !ok {
		return c.fail(r, 404, "NoSuchKey")
	}
	part := object{size: end - from, etag: md5.Sum([]byte(o.etagText() + r.copyRange))}
	u.parts[number] = part
	return c.xml(200, []byte(`<CopyPartResult><ETag>&quot;`+part.etagText()+`&quot;</ETag></CopyPartResult>`))
}

func (s *server) listParts(c *connection, u *upload) error {
	var out bytes.Buffer
	out.WriteString("<ListPartsResult><UploadId>" + u.id + "</UploadId><IsTruncated>false</IsTruncated>")
	for _, number := range u.numbers() {
		part := u.parts[number]
		out.WriteString("<Part><PartNumber>" + strconv.Itoa(number) + "</PartNumber><ETag>&quot;" + part.etagText() + "&quot;</ETag><Size>" + strconv.FormatInt(part.size, 10) + "</Size></Part>")
	}
	out.WriteString("</ListPartsResult>")
	return c.xml(200, out.Bytes())
}

func (s *server) complete(c *connection, r *request, b bucket, u *upload) error {
	if _, found := b.get(u.key); found && r.ifNoneMatch == "*" {
		return c.fail(r, 412, "PreconditionFailed")
	}
	o := u.whole()
	checksum := ""
	if sum, err := base64.StdEncoding.DecodeString(r.crc32); err == nil && len(sum) == 4 && u.fullObject {
		o.crc, o.hasCRC = binary.BigEndian.Uint32(sum), true
		checksum = "<ChecksumCRC32>" + r.crc32 + "</ChecksumCRC32><ChecksumType>FULL_OBJECT</ChecksumType>"
	}
	b.put(o)
	s.store.end(u.id)
	return c.xml(200, []byte(`<CompleteMultipartUploadResult><Bucket>`+r.bucket+`</Bucket><Key>`+inXML(u.key, false)+`</Key><ETag>&quot;`+o.etagText()+`&quot;</ETag>`+checksum+`</CompleteMultipartUploadResult>`))
}

func (s *server) control(c *connection, r *request) error {
	if _, err := c.readBody(r); err != nil {
		return err
	}
	switch {
	case r.bucket == "_counts":
		text, err := json.Marshal(s.counts.all())
		if err != nil {
			return err
		}
		return c.xml(200, text)
	case r.bucket == "_limits":
		if err := s.limits.set(r); err != nil {
			return c.fail(r, 400, "InvalidArgument")
		}
		return c.empty(200)
	case r.bucket == "_reset":
		s.counts.reset()
		return c.empty(200)
	case r.bucket == "_bucket" && r.method == "PUT" && len(r.query) == 0:
		s.store.setBucket(r.key, &written{})
		return c.empty(200)
	case r.bucket == "_bucket" && r.method == "PUT":
		count, err := strconv.Atoi(r.query["count"])
		size, err2 := strconv.ParseInt(r.query["size"], 10, 64)
		if err != nil || err2 != nil || count < 0 || count > 1e9 || size < 0 {
			return c.fail(r, 400, "InvalidArgument")
		}
		if key := shapes[r.query["shape"]]; key != nil {
			s.store.setBucket(r.key, newShaped(count, size, key))
		} else {
			s.store.setBucket(r.key, newMadeup(count, size))
		}
		return c.empty(200)
	}
	return c.fail(r, 404, "NoSuchKey")
}
