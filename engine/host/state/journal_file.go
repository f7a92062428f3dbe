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
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
)

// journalVersion is the version of the lines below. Version 1 had no owner but pid and host, and no adopting packages.
const journalVersion = 2

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
	// Owner is who writes, among the processes of all machines; nil in version 1.
	Owner *owner `json:"owner,omitempty"`
	// Engine is the version of Pulumi that made the entries.
	Engine string `json:"engine,omitempty"`
	// Adopts are the packages whose creates find what an earlier call has made.
	Adopts []string `json:"adopts,omitempty"`
}

func (h header) owner() owner {
	if h.Owner != nil {
		return *h.Owner
	}
	return owner{Pid: h.Pid, Hostname: h.Host, Username: "somebody"}
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

func newHeader(base string, adopts []string) record {
	me := self()
	return record{Header: &header{
		Version: journalVersion, Base: base, Time: time.Now(), Pid: me.Pid, Host: me.Hostname, Owner: &me,
		Engine: version.Version, Adopts: adopts,
	}}
}

// readJournal gives a journal, or nil when there is none. The error is *Newer where a newer version wrote it.
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
		line, err := parseRecord(body, found.header)
		if newer := new(Newer); errors.As(err, &newer) {
			return nil, newer
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		switch {
		case i == 0 && line.Header == nil:
			return nil, errors.New("no header")
		case line.Header != nil:
			found.header = *line.Header
		case line.Entry != nil:
			found.entries = append(found.entries, *line.Entry)
		case line.Committed != nil:
			found.committed = append(found.committed, *line.Committed)
		}
	}
	return found, nil
}

// parseRecord reads a line. Of lines that another version wrote, none may have what this one does not know.
func parseRecord(body []byte, of header) (line record, err error) {
	if err := json.Unmarshal(body, &line); err != nil {
		return line, err
	}
	if line.Header != nil {
		of = *line.Header
		if of.Version > journalVersion {
			return line, newerJournal(of, fmt.Sprintf("version %d of the journal", of.Version))
		}
	}
	if of.Engine != version.Version {
		field, is := strings.CutPrefix(fmt.Sprint(decodeKnown(body, &record{})), unknownFieldError)
		if is {
			return line, newerJournal(of, "the field "+field)
		}
	}
	return line, nil
}

func newerJournal(of header, what string) *Newer {
	return &Newer{What: what + " in its journal", Writer: of.Engine, Reader: version.Version}
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
	if begin.Header == nil || begin.Header.Version > journalVersion || end.Committed == nil {
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
