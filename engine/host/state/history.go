package state

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/backend"
)

// past is one operation in the history: the names of its files.
type past struct {
	time       time.Time
	checkpoint string
	all        []string
}

// history gives the operations of a stack, the newest first.
func (s *Store) history(ctx context.Context, k keys) ([]past, error) {
	found, err := s.files.list(ctx, k.history)
	if err != nil {
		return nil, err
	}
	byTime := map[int64]*past{}
	var times []int64
	for _, f := range found {
		at, kind, ok := historyName(k, f.name)
		if !ok {
			continue
		}
		entry := byTime[at]
		if entry == nil {
			entry = &past{time: time.Unix(0, at)}
			byTime[at] = entry
			times = append(times, at)
		}
		entry.all = append(entry.all, f.name)
		if kind == "checkpoint" {
			entry.checkpoint = f.name
		}
	}
	slices.Sort(times)
	slices.Reverse(times)
	entries := make([]past, len(times))
	for i, at := range times {
		entries[i] = *byTime[at]
	}
	return entries, nil
}

// historyName reads STACK-NANOS.{history,checkpoint}.json, and the same with .gz or .zst.
func historyName(k keys, name string) (at int64, kind string, ok bool) {
	rest, ok := strings.CutPrefix(name, k.name+"-")
	if !ok {
		return 0, "", false
	}
	parts := strings.SplitN(rest, ".", 3)
	if len(parts) != 3 || parts[1] != "history" && parts[1] != "checkpoint" {
		return 0, "", false
	}
	if parts[2] != "json" && parts[2] != "json.gz" && parts[2] != "json.zst" {
		return 0, "", false
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	return at, parts[1], err == nil
}

// addHistory notes an operation and keeps the checkpoint of this moment with it.
func (h *Held) addHistory(ctx context.Context, info backend.UpdateInfo) error {
	s, k := h.store, h.keys
	data, err := marshal(&info)
	if err != nil {
		return err
	}
	found, err := presentVariants(ctx, s.files, k, true)
	if err != nil {
		return err
	}
	prefix := path.Join(k.history, fmt.Sprintf("%s-%d", k.name, time.Now().UnixNano()))
	if len(found) > 0 {
		kept := prefix + ".checkpoint.json" + strings.TrimPrefix(found[0], k.checkpoint)
		if err := s.files.copy(ctx, found[0], kept); err != nil {
			return err
		}
	}
	if err := s.files.write(ctx, prefix+".history.json", data, false); err != nil {
		return err
	}
	return s.trimHistory(ctx, k)
}

// trimHistory removes the oldest entries beyond the number to keep.
func (s *Store) trimHistory(ctx context.Context, k keys) error {
	if s.keepHistory <= 0 {
		return nil
	}
	entries, err := s.history(ctx, k)
	if err != nil || len(entries) <= s.keepHistory {
		return err
	}
	for _, entry := range entries[s.keepHistory:] {
		for _, name := range entry.all {
			if err := s.files.remove(ctx, path.Join(k.history, name)); err != nil {
				return err
			}
		}
	}
	return nil
}
