package main

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"sync"
)

type object struct {
	key   string
	size  int64
	etag  [16]byte
	parts int32
	// CRC-32 of the whole, where the writer sent one.
	crc    uint32
	hasCRC bool
}

// etagText has no quotes.
func (o *object) etagText() string {
	text := hex.EncodeToString(o.etag[:])
	if o.parts > 0 {
		text += "-" + strconv.Itoa(int(o.parts))
	}
	return text
}

type bucket interface {
	get(key string) (object, bool)
	put(o object)
	remove(key string)
	// from calls each with objects in key order, the first one > after (or >= when equal is true), until it says false.
	from(after string, equal bool, each func(o *object) bool)
}

type store struct {
	mutex   sync.Mutex
	buckets map[string]bucket
	uploads map[string]*upload
	serial  int
}

type upload struct {
	mutex      sync.Mutex
	id, bucket string
	key        string
	fullObject bool
	parts      map[int]object
}

func newStore() *store {
	return &store{buckets: map[string]bucket{}, uploads: map[string]*upload{}}
}

func (s *store) bucket(name string) bucket {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.buckets[name]
}

func (s *store) setBucket(name string, b bucket) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.buckets[name] = b
}

func (s *store) begin(bucket, key string, fullObject bool) *upload {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.serial++
	u := &upload{id: fmt.Sprintf("upload-%06d", s.serial), bucket: bucket, key: key, fullObject: fullObject, parts: map[int]object{}}
	s.uploads[u.id] = u
	return u
}

func (s *store) upload(id string) *upload {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.uploads[id]
}

func (s *store) end(id string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.uploads, id)
}

// whole is the object that the parts make up.
func (u *upload) whole() object {
	o := object{key: u.key, parts: int32(len(u.parts))}
	numbers := u.numbers()
	sums := md5.New()
	for _, number := range numbers {
		part := u.parts[number]
		o.size += part.size
		sums.Write(part.etag[:])
	}
	copy(o.etag[:], sums.Sum(nil))
	return o
}

func (u *upload) numbers() []int {
	numbers := make([]int, 0, len(u.parts))
	for number := range u.parts {
		numbers = append(numbers, number)
	}
	sort.Ints(numbers)
	return numbers
}

// A written bucket: sorted chunks of objects, so that a million keys cost little more than their bytes and list in order at once.
type written struct {
	mutex  sync.RWMutex
	chunks [][]object
}

const chunkSize = 512

// find gives the chunk that a key belongs to and its place there.
func (w *written) find(key string) (int, int, bool) {
	chunk := sort.Search(len(w.chunks), func(i int) bool { return w.chunks[i][0].key > key }) - 1
	if chunk < 0 {
		return 0, 0, false
	}
	objects := w.chunks[chunk]
	at := sort.Search(len(objects), func(i int) bool { return objects[i].key >= key })
	return chunk, at, at < len(objects) && objects[at].key == key
}

func (w *written) get(key string) (object, bool) {
	w.mutex.RLock()
	defer w.mutex.RUnlock()
	chunk, at, found := w.find(key)
	if !found {
		return object{}, false
	}
	return w.chunks[chunk][at], true
}

func (w *written) put(o object) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if len(w.chunks) == 0 {
		w.chunks = [][]object{append(make([]object, 0, chunkSize), o)}
		return
	}
	chunk, at, found := w.find(o.key)
	if found {
		w.chunks[chunk][at] = o
		return
	}
	objects := append(w.chunks[chunk], object{})
	copy(objects[at+1:], objects[at:])
	objects[at] = o
	w.chunks[chunk] = objects
	if len(objects) >= chunkSize {
		w.split(chunk)
	}
}

// split leaves an appended-to chunk full, so that keys written in order are packed tightly.
func (w *written) split(chunk int) {
	objects := w.chunks[chunk]
	at := len(objects) / 2
	if chunk == len(w.chunks)-1 {
		at = len(objects) - 32
	}
	behind := append(make([]object, 0, chunkSize), objects[at:]...)
	w.chunks[chunk] = objects[:at:at]
	w.chunks = append(w.chunks, nil)
	copy(w.chunks[chunk+2:], w.chunks[chunk+1:])
	w.chunks[chunk+1] = behind
}

func (w *written) remove(key string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	chunk, at, found := w.find(key)
	if !found {
		return
	}
	objects := w.chunks[chunk]
	w.chunks[chunk] = append(objects[:at], objects[at+1:]...)
	if len(w.chunks[chunk]) == 0 {
		w.chunks = append(w.chunks[:chunk], w.chunks[chunk+1:]...)
	}
}

func (w *written) from(after string, equal bool, each func(o *object) bool) {
	w.mutex.RLock()
	defer w.mutex.RUnlock()
	if len(w.chunks) == 0 {
		return
	}
	chunk, at, found := w.find(after)
	if found && !equal {
		at++
	}
	for ; chunk < len(w.chunks); chunk, at = chunk+1, 0 {
		for i := at; i < len(w.chunks[chunk]); i++ {
			if !each(&w.chunks[chunk][i]) {
				return
			}
		}
	}
}
