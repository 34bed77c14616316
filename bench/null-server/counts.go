package main

import (
	"sync"
	"sync/atomic"
)

type counts struct {
	mutex    sync.Mutex
	requests map[string]map[string]int64
	in       int64
	out      atomic.Int64
	serial   atomic.Uint64
}

func newCounts() *counts {
	return &counts{requests: map[string]map[string]int64{}}
}

func (c *counts) add(bucket, op string, in int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	of := c.requests[bucket]
	if of == nil {
		of = map[string]int64{}
		c.requests[bucket] = of
	}
	of[op]++
	c.in += in
}

func (c *counts) reset() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.requests, c.in = map[string]map[string]int64{}, 0
	c.out.Store(0)
}

type report struct {
	Requests map[string]map[string]int64 `json:"requests"`
	BytesIn  int64                       `json:"bytesIn"`
	BytesOut int64                       `json:"bytesOut"`
}

func (c *counts) all() report {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	requests := map[string]map[string]int64{}
	for bucket, of := range c.requests {
		requests[bucket] = map[string]int64{}
		for op, n := range of {
			requests[bucket][op] = n
		}
	}
	return report{requests, c.in, c.out.Load()}
}
