package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
)

// journalVersion is the version of the lines below.
const journalVersion = 1

// record is one line of a journal: it has one of the three.
type record struct {
	Header    *header               `json:"header,omitempty"`
	Entry     *apitype.JournalEntry `json:"entry,omitempty"`
	Committed *committed            `json:"committed,omitempty"`
}

// header is the first line: what the entries change, and who writes them.
type header struct {
	Version int `json:"version"`
	// Base is the SHA-256 of the checkpoint file that the entries apply to; empty when there was no such file.
	Base string    `json:"base"`
	Time time.Time `json:"time"`
	Pid  int       `json:"pid"`
	Host string    `json:"host"`
}

// committed announces the checkpoint that the journal becomes, before that is in its place.
type committed struct {
	// Sum is the SHA-256 of the checkpoint file.
	Sum string `json:"sum"`
	// Time is the one in the checkpoint's manifest: with it, a replay gives the same bytes.
	Time time.Time `json:"time"`
	// Emptied: a destroy had succeeded, which settles the pending creates of before.
	Emptied bool `json:"emptied,omitempty"`
}

// journalFile is a journal as found in the storage.
type journalFile struct {
	header    header
	entries   []apitype.JournalEntry
	committed []committed
	lines     int
	valid     int64 // bytes of good lines
}

func (j *journalFile) leadsTo(sum string) bool {
	return slices.ContainsFunc(j.committed, func(c committed) bool { return c.Sum == sum })
}

func newHeader(base string) record {
	host, _ := os.Hostname()
	return record{Header: &header{
		Version: journalVersion, Base: base, Time: time.Now(), Pid: os.Getpid(), Host: host,
	}}
}

// readJournal gives a journal, or nil when there is none.
func readJournal(ctx context.Context, storage files, key string) (*journalFile, error) {
	data, err := storage.readLog(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	bodies, valid, err := parseFrames(data)
	if err != nil {
		return nil, err
	}
	found := &journalFile{lines: len(bodies), valid: valid}
	for i, body := range bodies {
		var line record
		if err := json.Unmarshal(body, &line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		switch {
		case i == 0 && line.Header == nil:
			return nil, errors.New("no header")
		case line.Header != nil:
			if line.Header.Version != journalVersion {
				return nil, fmt.Errorf("written by another version of Pilot (%d)", line.Header.Version)
			}
			found.header = *line.Header
		case line.Entry != nil:
			found.entries = append(found.entries, *line.Entry)
		case line.Committed != nil:
			found.committed = append(found.committed, *line.Committed)
		}
	}
	return found, nil
}

// readSeal gives the first and the last line of a journal that became a checkpoint, without its entries: that is what
// every lock needs, and costs no parsing of the whole.
func readSeal(ctx context.Context, storage files, key string) *journalFile {
	data, err := storage.readLog(ctx, key)
	if err != nil || len(data) == 0 || data[len(data)-1] != '\n' {
		return nil
	}
	first, _, _ := bytes.Cut(data, []byte{'\n'})
	last := data[:len(data)-1]
	last = last[bytes.LastIndexByte(last, '\n')+1:]
	_, _, head, ok := parseFrame(first)
	_, _, tail, ok2 := parseFrame(last)
	var begin, end record
	if !ok || !ok2 || json.Unmarshal(head, &begin) != nil || json.Unmarshal(tail, &end) != nil {
		return nil
	}
	if begin.Header == nil || begin.Header.Version != journalVersion || end.Committed == nil {
		return nil
	}
	return &journalFile{header: *begin.Header, committed: []committed{*end.Committed}}
}

// marshal writes compact JSON the way the stock backend does.
func marshal(v any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte{'\n'}), nil
}

func checksum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
