package main

import (
	"crypto/md5"
	"math/bits"
	"sort"
	"strconv"
	"strings"
)

// A bucket for listings: any number of made-up keys of one shape, made when they are asked for. Objects have one size and cannot be read.
//
//	flat     one long common head, then a number
//	deep     a number as directories of two digits
//	skewed   half of all in the first directory, half of the rest in the second …
//	unicode  strings over letters of one to four bytes, unevenly apart
type shaped struct {
	count int
	size  int64
	key   func(count, index int) string
	etags [variants][16]byte
}

var shapes = map[string]func(count, index int) string{"flat": flatKey, "deep": deepKey, "skewed": skewedKey, "unicode": unicodeKey}

func newShaped(count int, size int64, key func(count, index int) string) *shaped {
	s := &shaped{count: count, size: size, key: key}
	for i := range s.etags {
		s.etags[i] = md5.Sum([]byte(strconv.Itoa(i)))
	}
	return s
}

const tail = "-lorem-ipsum-dolor-sit-amet-consectetur"

func flatKey(_, index int) string {
	out := append(make([]byte, 0, 64), "exports/object-"...)
	return string(append(appendPadded(out, index, 9), tail[:36]...))
}

func deepKey(_, index int) string {
	digits := appendPadded(make([]byte, 0, 10), index, 10)
	out := make([]byte, 0, 64)
	for at := 0; at < 8; at += 2 {
		out = append(append(out, digits[at:at+2]...), '/')
	}
	return string(append(append(out, digits[8:]...), tail...))
}

func skewedKey(count, index int) string {
	directory := bits.Len(uint(count/(count-index))) - 1
	out := append(make([]byte, 0, 64), "dir-"...)
	out = append(appendPadded(out, directory, 2), '/')
	return string(append(appendPadded(out, index, 9), tail...))
}

var letters = []string{"\u0001", " ", "#", "%", "+", "=", "A", "a", "~", "ß", "é", "\u2028", "日", "\ue000", "\uffff", "😀"}

func unicodeKey(_, index int) string {
	value := uint64(index)<<16 + splitmix(uint64(index))&0xffff
	var out strings.Builder
	for shift := 44; shift >= 0; shift -= 4 {
		out.WriteString(letters[value>>shift&15])
	}
	return out.String()
}

func (s *shaped) first(fits func(key string) bool) int {
	return sort.Search(s.count, func(i int) bool { return fits(s.key(s.count, i)) })
}

func (s *shaped) get(key string) (object, bool) {
	index := s.first(func(k string) bool { return k >= key })
	if index == s.count || s.key(s.count, index) != key {
		return object{}, false
	}
	return s.at(index), true
}

func (s *shaped) at(index int) object {
	return object{key: s.key(s.count, index), size: s.size, etag: s.etags[index%variants]}
}

func (s *shaped) put(object)    {}
func (s *shaped) remove(string) {}

func (s *shaped) from(after string, equal bool, each func(o *object) bool) {
	for index := s.first(func(key string) bool { return key > after || (equal && key == after) }); index < s.count; index++ {
		o := s.at(index)
		if !each(&o) {
			return
		}
	}
}
