package main

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"sort"
	"strconv"
)

// A bucket of made-up objects, all of one size, for reading only. Keys have 60 bytes, half of them random. The content is one of `variants`
// windows into a block of noise, so that small objects have the MD5 of their bytes as ETag, as clients expect.
type madeup struct {
	count int
	size  int64
	etags [variants][16]byte
	parts int32
}

const (
	variants    = 64
	blockLength = 1048573 // prime, so that parts of a large object differ
	etagParts   = 8 << 20
)

var block = makeBlock()

// makeBlock holds the noise twice, so that a window of up to its length is one slice.
func makeBlock() []byte {
	noise := make([]byte, 2*blockLength+16)
	for i := 0; i < blockLength; i += 8 {
		binary.LittleEndian.PutUint64(noise[i:], splitmix(uint64(i)))
	}
	copy(noise[blockLength:], noise[:blockLength])
	return noise[:2*blockLength]
}

func splitmix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

func newMadeup(count int, size int64) *madeup {
	m := &madeup{count: count, size: size}
	if size > blockLength {
		m.parts = int32((size + etagParts - 1) / etagParts)
	}
	for i := range m.etags {
		if m.parts == 0 {
			m.etags[i] = md5.Sum(block[windowOf(i) : windowOf(i)+size])
		} else {
			m.etags[i] = md5.Sum([]byte(strconv.Itoa(i) + "/" + strconv.FormatInt(size, 10)))
		}
	}
	return m
}

func windowOf(index int) int64 { return int64(index%variants) * 61 }

func keyAt(index int) string {
	var text [60]byte
	out := append(text[:0], "exports/2026/"...)
	out = appendPadded(out, index>>12, 6)
	out = append(out, '/')
	out = appendPadded(out, index, 9)
	out = append(out, '-')
	var noise [16]byte
	binary.BigEndian.PutUint64(noise[:], splitmix(uint64(index)))
	binary.BigEndian.PutUint64(noise[8:], splitmix(uint64(index)+1<<40))
	out = hex.AppendEncode(out, noise[:13])
	return string(append(out, ".bin"...))
}

func appendPadded(out []byte, n, width int) []byte {
	for at := width - 1; at >= 0; at-- {
		out = append(out, '0')
	}
	for at := len(out) - 1; n > 0; at, n = at-1, n/10 {
		out[at] = byte('0' + n%10)
	}
	return out
}

const indexAt = len("exports/2026/000000/")

func (m *madeup) at(index int) object {
	return object{key: keyAt(index), size: m.size, etag: m.etags[index%variants], parts: m.parts}
}

func (m *madeup) indexOf(key string) (int, bool) {
	if len(key) < indexAt+9 {
		return 0, false
	}
	index, err := strconv.Atoi(key[indexAt : indexAt+9])
	return index, err == nil && index >= 0 && index < m.count && keyAt(index) == key
}

func (m *madeup) get(key string) (object, bool) {
	index, ok := m.indexOf(key)
	if !ok {
		return object{}, false
	}
	return m.at(index), true
}

func (m *madeup) put(object)    {}
func (m *madeup) remove(string) {}

func (m *madeup) from(after string, equal bool, each func(o *object) bool) {
	index := sort.Search(m.count, func(i int) bool {
		key := keyAt(i)
		return key > after || (equal && key == after)
	})
	for ; index < m.count; index++ {
		o := m.at(index)
		if !each(&o) {
			return
		}
	}
}
