package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
)

const maxHead = 64 << 10

type connection struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
}

type request struct {
	method string
	bucket string
	key    string
	query  map[string]string
	length int64
	closes bool
	expect bool
	// What was sent with the request, empty where absent.
	host, rng, ifMatch, ifNoneMatch, contentMD5, copySource, copyRange, decodedLength, checksumType, trailer string
	crc32, otherChecksum, otherValue                                                                         string
}

var errProtocol = errors.New("not HTTP/1.1 as spoken here")

func (c *connection) readRequest() (*request, error) {
	line, err := c.readLine()
	if err != nil {
		return nil, err
	}
	method, rest, ok := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(rest, " ")
	if !ok || !ok2 || version != "HTTP/1.1" {
		return nil, errProtocol
	}
	r := &request{method: method}
	for size := 0; size < maxHead; {
		line, err := c.readLine()
		if err != nil {
			return nil, err
		}
		if line == "" {
			return r, r.parseTarget(target)
		}
		size += len(line)
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, errProtocol
		}
		if err := r.header(strings.ToLower(name), strings.TrimSpace(value)); err != nil {
			return nil, err
		}
	}
	return nil, errProtocol
}

func (c *connection) readLine() (string, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	end := len(line) - 1
	if end > 0 && line[end-1] == '\r' {
		end--
	}
	return string(line[:end]), nil
}

func (r *request) header(name, value string) error {
	var err error
	switch name {
	case "content-length":
		r.length, err = strconv.ParseInt(value, 10, 64)
	case "transfer-encoding":
		err = errProtocol
	case "connection":
		r.closes = strings.EqualFold(value, "close")
	case "expect":
		r.expect = strings.EqualFold(value, "100-continue")
	case "range":
		r.rng = value
	case "if-match":
		r.ifMatch = strings.Trim(value, `"`)
	case "if-none-match":
		r.ifNoneMatch = strings.Trim(value, `"`)
	case "content-md5":
		r.contentMD5 = value
	case "x-amz-copy-source":
		r.copySource = value
	case "x-amz-copy-source-range":
		r.copyRange = value
	case "x-amz-decoded-content-length":
		r.decodedLength = value
	case "x-amz-checksum-type":
		r.checksumType = value
	case "x-amz-trailer":
		r.trailer = value
	case "x-amz-checksum-crc32":
		r.crc32 = value
	case "x-amz-checksum-crc32c", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256", "x-amz-checksum-sha1":
		r.otherChecksum, r.otherValue = name, value
	}
	return err
}

// parseTarget knows path-style addresses only.
func (r *request) parseTarget(target string) error {
	path, query, _ := strings.Cut(target, "?")
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	r.bucket = bucket
	if strings.IndexByte(key, '%') < 0 {
		r.key = key
	} else if plain, err := url.PathUnescape(key); err == nil {
		r.key = plain
	} else {
		return err
	}
	if query == "" {
		return nil
	}
	r.query = map[string]string{}
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(value)
		if err != nil {
			return err
		}
		r.query[name] = plain
	}
	return nil
}

func (r *request) has(name string) bool {
	_, ok := r.query[name]
	return ok
}

// bodyDigest is what the server learns of a body that it does not keep.
type bodyDigest struct {
	size int64
	// The body itself when it is small, valid until the next read of the connection.
	small []byte
	crc32 uint32
	tail  []byte
}

const smallBody = 64 << 10

// readBody reads the whole body. A framed one (aws-chunked) is not unpacked: its decoded length is believed.
func (c *connection) readBody(r *request) (bodyDigest, error) {
	if r.expect && r.length > 0 {
		if _, err := c.conn.Write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return bodyDigest{}, err
		}
	}
	framed := r.decodedLength != ""
	digest := bodyDigest{size: r.length}
	if framed {
		size, err := strconv.ParseInt(r.decodedLength, 10, 64)
		if err != nil {
			return digest, err
		}
		digest.size = size
	}
	if c.body == nil {
		c.body = make([]byte, smallBody)
	}
	wantCRC := !framed && r.crc32 != ""
	for left := r.length; left > 0; {
		piece := c.body[:min(int64(len(c.body)), left)]
		if _, err := io.ReadFull(c.in, piece); err != nil {
			return digest, err
		}
		left -= int64(len(piece))
		if wantCRC {
			digest.crc32 = crc32.Update(digest.crc32, crc32.IEEETable, piece)
		}
		if r.length <= smallBody && !framed {
			digest.small = piece
		}
		if framed && left == 0 {
			digest.tail = piece
		}
	}
	return digest, nil
}

func (d bodyDigest) crcBase64() string {
	return base64.StdEncoding.EncodeToString([]byte{byte(d.crc32 >> 24), byte(d.crc32 >> 16), byte(d.crc32 >> 8), byte(d.crc32)})
}

// head begins an answer in the connection's buffer; send ends and writes it.
func (c *connection) head(status int) {
	c.out = append(c.out[:0], "HTTP/1.1 "...)
	c.out = strconv.AppendInt(c.out, int64(status), 10)
	c.out = append(c.out, ' ')
	c.out = append(c.out, reasons[status]...)
	c.out = append(c.out, "\r\nserver: null\r\nx-amz-request-id: 0\r\n"...)
}

func (c *connection) field(name, value string) {
	c.out = append(c.out, name...)
	c.out = append(c.out, ": "...)
	c.out = append(c.out, value...)
	c.out = append(c.out, "\r\n"...)
}

func (c *connection) length(n int64) {
	c.out = append(c.out, "content-length: "...)
	c.out = strconv.AppendInt(c.out, n, 10)
	c.out = append(c.out, "\r\n\r\n"...)
}

func (c *connection) send() error {
	_, err := c.conn.Write(c.out)
	return err
}

// xml sends a whole document.
func (c *connection) xml(status int, document []byte) error {
	c.head(status)
	c.field("content-type", "application/xml")
	c.length(int64(len(document)))
	c.out = append(c.out, document...)
	return c.send()
}

func (c *connection) fail(r *request, status int, code string) error {
	if r.method == "HEAD" {
		c.head(status)
		c.length(0)
		return c.send()
	}
	return c.xml(status, []byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>"+code+"</Code><Message>"+code+"</Message></Error>"))
}

func (c *connection) empty(status int) error {
	c.head(status)
	if status == 204 {
		c.out = append(c.out, "\r\n"...)
	} else {
		c.length(0)
	}
	return c.send()
}

var reasons = map[int]string{200: "OK", 204: "No Content", 206: "Partial Content", 304: "Not Modified", 400: "Bad Request", 404: "Not Found", 409: "Conflict", 412: "Precondition Failed", 416: "Range Not Satisfiable", 501: "Not Implemented"}
