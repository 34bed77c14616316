// player sends prepared HTTP/1.1 requests over kept connections, as often as the server answers, and tells what came back.
//
//	player -address 127.0.0.1:9000 -requests FILE -connections 8 -seconds 5 [-tls]
//
// FILE holds requests one behind the other, each with its length before it as four bytes, big-endian. With -once each is sent once.
// It prints one JSON line: requests, bytes of bodies, seconds, and the answers that were not 2xx.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

type tally struct {
	requests, bytes, failed atomic.Int64
	first                   sync.Once
	complaint               string
}

func main() {
	address := flag.String("address", "", "host:port")
	file := flag.String("requests", "", "file of requests")
	connections := flag.Int("connections", 8, "connections")
	seconds := flag.Float64("seconds", 5, "how long")
	once := flag.Bool("once", false, "send each request once")
	secure := flag.Bool("tls", false, "over TLS, whatever the certificate")
	flag.Parse()
	requests, err := read(*file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var sum tally
	var next atomic.Int64
	started := time.Now()
	until := started.Add(time.Duration(*seconds * float64(time.Second)))
	var group sync.WaitGroup
	for range *connections {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := play(*address, *secure, requests, &next, *once, until, &sum); err != nil {
				sum.failed.Add(1)
				sum.first.Do(func() { sum.complaint = err.Error() })
			}
		}()
	}
	group.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests": sum.requests.Load(), "bytes": sum.bytes.Load(), "failed": sum.failed.Load(), "complaint": sum.complaint, "seconds": time.Since(started).Seconds(),
	})
}

func read(path string) ([][]byte, error) {
	all, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var requests [][]byte
	for len(all) >= 4 {
		size := int(binary.BigEndian.Uint32(all))
		requests = append(requests, all[4:4+size])
		all = all[4+size:]
	}
	return requests, nil
}

func dial(address string, secure bool) (net.Conn, error) {
	if secure {
		return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	}
	return net.Dial("tcp", address)
}

func play(address string, secure bool, requests [][]byte, next *atomic.Int64, once bool, until time.Time, sum *tally) error {
	connection, err := dial(address, secure)
	if err != nil {
		return err
	}
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 256<<10)
	for {
		at := next.Add(1) - 1
		if once && at >= int64(len(requests)) || !once && time.Now().After(until) {
			return nil
		}
		if _, err := connection.Write(requests[at%int64(len(requests))]); err != nil {
			return err
		}
		status, size, err := answer(reader)
		if err != nil {
			return err
		}
		sum.requests.Add(1)
		sum.bytes.Add(size)
		if status < 200 || status > 299 {
			sum.failed.Add(1)
			sum.first.Do(func() { sum.complaint = fmt.Sprintf("status %d", status) })
		}
	}
}

// answer reads one answer and throws its body away.
func answer(reader *bufio.Reader) (status int, size int64, err error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 12 {
		return 0, 0, fmt.Errorf("no status line: %q", line)
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, 0, err
	}
	chunked := false
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("content-length")) {
			size, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			if err != nil {
				return 0, 0, err
			}
		}
		chunked = chunked || bytes.EqualFold(name, []byte("transfer-encoding"))
	}
	if chunked {
		size, err = discardChunks(reader)
		return status, size, err
	}
	_, err = reader.Discard(int(size))
	return status, size, err
}

func discardChunks(reader *bufio.Reader) (sum int64, err error) {
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return sum, err
		}
		size, err := strconv.ParseInt(line[:len(line)-2], 16, 64)
		if err != nil {
			return sum, err
		}
		if _, err := reader.Discard(int(size) + 2); err != nil {
			return sum, err
		}
		if size == 0 {
			return sum, nil
		}
		sum += size
	}
}
