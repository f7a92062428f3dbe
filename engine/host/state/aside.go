package state

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"
)

// keepAside is how many damaged states, and how many superseded journals, are kept of a stack: people look at the newest.
const keepAside = 5

// asideTime is the time in such a name, as a pattern.
const asideTime = `\d{8}T\d{6}\.\d{9}Z`

// aside is a name for a file that is taken out of use and kept. A later one sorts behind an earlier one.
func aside(key, why string) string {
	return key + "." + why + "-" + time.Now().UTC().Format("20060102T150405.000000000Z")
}

// keepState keeps a copy of a state that cannot be used, and gives where.
func (s *Store) keepState(ctx context.Context, key string) (kept string, err error) {
	kept = aside(key, "corrupt")
	if err := s.files.copy(ctx, key, kept); err != nil {
		return "", err
	}
	s.trimAside(ctx, key, "corrupt")
	return kept, nil
}

// keepLog takes a journal out of use, and gives where it is kept.
func (s *Store) keepLog(ctx context.Context, key string) (kept string, err error) {
	kept = aside(key, "superseded")
	if err := s.files.moveLog(ctx, key, kept); err != nil {
		return "", err
	}
	s.trimAside(ctx, key, "superseded")
	return kept, nil
}

// trimAside removes the oldest of such files beyond the number to keep. What cannot be removed now is so the next time.
func (s *Store) trimAside(ctx context.Context, key, why string) {
	dir, prefix := path.Dir(key), path.Base(key)+"."+why+"-"
	found, err := s.files.list(ctx, dir)
	if err != nil {
		return
	}
	var names []string
	for _, f := range found {
		if strings.HasPrefix(f.name, prefix) && strings.HasSuffix(f.name, "Z") {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	for len(names) > keepAside {
		_ = s.files.remove(ctx, path.Join(dir, names[0]))
		names = names[1:]
	}
}
