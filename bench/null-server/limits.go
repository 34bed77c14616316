package main

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// limits are what a store gives at most. They can be changed while it runs: PUT /_limits?requests=PER_SECOND&connection=BYTES_PER_SECOND,
// where 0 or nothing is no limit; with &bucket=NAME requests to that bucket alone are limited. Requests beyond are refused as S3 does it, 503 SlowDown, and counted as Refused.
type limits struct {
	connection atomic.Int64
	mutex      sync.Mutex
	bucket     string
	perSecond  float64
	tokens     float64
	at         time.Time
}

// A tenth of a second's requests may be saved up.
const saved = 0.1

func (l *limits) set(r *request) error {
	values := map[string]int64{"requests": 0, "connection": 0}
	for name := range values {
		if text := r.query[name]; text != "" {
			value, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return err
			}
			values[name] = value
		}
	}
	l.connection.Store(values["connection"])
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.bucket, l.perSecond, l.tokens, l.at = r.query["bucket"], float64(values["requests"]), 0, time.Now()
	return nil
}

// allow takes a request's token if there is one.
func (l *limits) allow(bucket string) bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.perSecond == 0 || (l.bucket != "" && l.bucket != bucket) {
		return true
	}
	now := time.Now()
	l.tokens = min(l.perSecond*saved, l.tokens+now.Sub(l.at).Seconds()*l.perSecond)
	l.at = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}

// pacedConn gives and takes no more bytes a second than one connection may.
type pacedConn struct {
	net.Conn
	limits *limits
	owed   time.Duration
}

func (p *pacedConn) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	p.pay(n)
	return n, err
}

func (p *pacedConn) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	p.pay(n)
	return n, err
}

func (p *pacedConn) pay(bytes int) {
	rate := p.limits.connection.Load()
	if rate == 0 {
		return
	}
	p.owed += time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
	if p.owed > 5*time.Millisecond {
		began := time.Now()
		time.Sleep(p.owed)
		p.owed -= time.Since(began)
	}
}
