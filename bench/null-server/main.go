// A null S3 server for benchmarks: it lists and serves any number of made-up objects, forgets the bytes that are written and remembers
// only key, size and ETag. It speaks plain HTTP/1.1 by hand, so that the client is what a measurement measures. Signatures are ignored.
//
//	null-server [-listen 127.0.0.1:0] [-latency 0ms] [-cert FILE -key FILE]
//
// With a certificate it speaks TLS, and plain HTTP on a second port for whoever counts.
//
// Prints `listening ADDRESS`, with a certificate `listening ADDRESS PLAIN-ADDRESS`. Ends when its standard input is closed, so that it cannot outlive who started it.
//
//	PUT /_bucket/NAME?count=N&size=BYTES   a bucket of N made-up objects
//	  …&shape=flat|deep|skewed|unicode     of these keys (shaped.go), for listings
//	PUT /_bucket/NAME                      an empty bucket to write to
//	GET /_counts                           requests by bucket and operation (keys below .brigade/ apart), bytes in and out (JSON)
//	POST /_reset                           counts to zero
//	PUT /_limits?requests=N&connection=N   what it gives per second (limits.go)
package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"
)

const readBuffer = 128 << 10

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	latency := flag.Duration("latency", 0, "waits this long before each answer")
	cert := flag.String("cert", "", "certificate, PEM")
	key := flag.String("key", "", "its key, PEM")
	flag.Parse()
	plain := mustListen(*listen)
	server := newServer(*latency)
	go endWithStdin()
	if *cert == "" {
		fmt.Printf("listening %s\n", plain.Addr())
		server.accept(plain)
	}
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	secure := tls.NewListener(mustListen(*listen), &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	fmt.Printf("listening %s %s\n", secure.Addr(), plain.Addr())
	go server.accept(plain)
	server.accept(secure)
}

func mustListen(address string) net.Listener {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func (s *server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go s.serve(conn)
	}
}

func endWithStdin() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

type server struct {
	latency time.Duration
	store   *store
	counts  *counts
	limits  *limits
}

func newServer(latency time.Duration) *server {
	return &server{latency: latency, store: newStore(), counts: newCounts(), limits: &limits{}}
}

// serve answers one connection, request after request, until either side closes it or breaks the protocol.
func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	paced := &pacedConn{Conn: conn, limits: s.limits}
	c := &connection{conn: paced, in: bufio.NewReaderSize(paced, readBuffer)}
	for {
		request, err := c.readRequest()
		if err != nil {
			return
		}
		if s.latency > 0 {
			time.Sleep(s.latency)
		}
		if err := s.answer(c, request); err != nil || request.closes {
			return
		}
	}
}
