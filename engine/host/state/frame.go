package state

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
)

// A journal is lines of the form
//
//	CHECKSUM NUMBER DURABLE LENGTH JSON
//
// with the CRC-32C (8 hex digits) of all that follows it. NUMBER counts from 1. DURABLE is how many lines were known to
// be on the disk when this one was written; it tells a tail that a power failure tore from damage to what was safe.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame adds one line to a buffer.
func appendFrame(buffer []byte, number, durable int, body []byte) []byte {
	start := len(buffer)
	buffer = append(buffer, "00000000 "...)
	buffer = strconv.AppendInt(buffer, int64(number), 10)
	buffer = append(buffer, ' ')
	buffer = strconv.AppendInt(buffer, int64(durable), 10)
	buffer = append(buffer, ' ')
	buffer = strconv.AppendInt(buffer, int64(len(body)), 10)
	buffer = append(buffer, ' ')
	buffer = append(buffer, body...)
	sum := crc32.Checksum(buffer[start+9:], castagnoli)
	copy(buffer[start:], fmt.Sprintf("%08x", sum))
	return append(buffer, '\n')
}

// damaged says that a journal is broken before its end.
type damaged struct{ offset int64 }

func (e *damaged) Error() string {
	return fmt.Sprintf("damaged at byte %d, with good lines behind it", e.offset)
}

// parseFrames gives the bodies of the lines, and how many bytes they take. A torn tail is left out; damage that good
// lines follow is an error.
func parseFrames(data []byte) (bodies [][]byte, valid int64, err error) {
	rest := data
	for len(rest) > 0 {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		number, _, body, ok := parseFrame(line)
		if !whole || !ok || number != len(bodies)+1 {
			if isTail(rest, len(bodies)+1) {
				break
			}
			return nil, 0, &damaged{offset: valid}
		}
		bodies = append(bodies, body)
		valid += int64(len(line) + 1)
		rest = after
	}
	return bodies, valid, nil
}

// isTail says whether the line at the start of rest, which cannot be read, begins a torn tail.
func isTail(rest []byte, number int) bool {
	hole := bytes.Contains(rest[:firstGood(rest)], unwritten)
	for after := rest[firstGood(rest):]; len(after) > 0; {
		line, next, whole := bytes.Cut(after, []byte{'\n'})
		if _, durable, _, ok := parseFrame(line); ok && whole {
			// Blocks of a file reach the disk in any order, so after a power failure a hole can precede good lines,
			// as long as none of those knew that the lines in the hole were safe.
			if !hole || durable >= number {
				return false
			}
		}
		after = next
	}
	return true
}

// unwritten is what a block that never reached the disk reads as. JSON holds no zero byte, and no single bit makes so
// many of them.
var unwritten = make([]byte, 64)

// firstGood is where the first readable line behind an unreadable one begins, or the end.
func firstGood(rest []byte) int {
	at := 0
	for at < len(rest) {
		end := bytes.IndexByte(rest[at:], '\n')
		if end < 0 {
			return len(rest)
		}
		if _, _, _, ok := parseFrame(rest[at : at+end]); ok && at > 0 {
			return at
		}
		at += end + 1
	}
	return len(rest)
}

func parseFrame(line []byte) (number, durable int, body []byte, ok bool) {
	fields := bytes.SplitN(line, []byte{' '}, 5)
	if len(fields) != 5 || len(fields[0]) != 8 {
		return 0, 0, nil, false
	}
	if string(fields[0]) != fmt.Sprintf("%08x", crc32.Checksum(line[9:], castagnoli)) {
		return 0, 0, nil, false
	}
	number, err1 := strconv.Atoi(string(fields[1]))
	durable, err2 := strconv.Atoi(string(fields[2]))
	length, err3 := strconv.Atoi(string(fields[3]))
	if err1 != nil || err2 != nil || err3 != nil || length != len(fields[4]) {
		return 0, 0, nil, false
	}
	return number, durable, fields[4], true
}
