// Package blind hides one run's secrets in all that it says.
//
// A secret of several lines is hidden line by line, because what people see is printed by lines: with other
// indentation, marks of a diff, or half of it. What is written in pieces is seen as one text.
package blind

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
)

const (
	// Hidden is what is read in a secret's place.
	Hidden = "[secret]"
	// shortest is the length of the shortest secret that is hidden, as in Pulumi: to hide each "a" would wreck
	// the text around it.
	shortest = 3
	// shortestLine is that of one line among several: a closing bracket or the word "name" is no secret, and
	// whoever looks for a password of five letters guesses it.
	shortestLine = 6
)

// Blinder knows the secrets of one run; nil knows none.
type Blinder struct {
	// patterns are what to hide by their first byte, the longest first.
	patterns map[byte][]string
}

// Of knows these secrets.
func Of(secrets []string) *Blinder {
	all := map[string]bool{}
	for _, secret := range secrets {
		learn(all, secret, shortest)
		lines := strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' })
		if len(lines) < 2 {
			continue
		}
		for _, line := range lines {
			learn(all, strings.TrimSpace(line), shortestLine)
		}
	}
	if len(all) == 0 {
		return nil
	}
	blinder := &Blinder{patterns: map[byte][]string{}}
	for pattern := range all {
		blinder.patterns[pattern[0]] = append(blinder.patterns[pattern[0]], pattern)
	}
	for _, alike := range blinder.patterns {
		slices.SortFunc(alike, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	}
	return blinder
}

// learn adds a text as it is, and as it looks within JSON.
func learn(all map[string]bool, text string, least int) {
	if len(text) < least || strings.EqualFold(text, "true") || strings.EqualFold(text, "false") {
		return
	}
	all[text] = true
	for _, escapeHTML := range []bool{true, false} {
		var quoted bytes.Buffer
		encoder := json.NewEncoder(&quoted)
		encoder.SetEscapeHTML(escapeHTML)
		if encoder.Encode(text) == nil {
			within := strings.TrimSuffix(quoted.String(), "\n")
			all[within[1:len(within)-1]] = true
		}
	}
}

// Text hides the secrets in a whole text.
func (b *Blinder) Text(text string) string {
	if b == nil {
		return text
	}
	hidden, _ := b.hide(text, true)
	return hidden
}

// hide gives what can be said, and what is kept until more is known: it may be the beginning of a secret.
func (b *Blinder) hide(text string, whole bool) (said, kept string) {
	var into strings.Builder
	from := 0
	for at := 0; at < len(text); {
		found, unsure := b.at(text[at:], whole)
		if unsure {
			return into.String() + text[from:at], text[at:]
		}
		if found == 0 {
			at++
			continue
		}
		into.WriteString(text[from:at])
		into.WriteString(Hidden)
		at += found
		from = at
	}
	return into.String() + text[from:], ""
}

// at is the length of the secret that begins a text, or unsure while the text is the beginning of a longer one.
func (b *Blinder) at(text string, whole bool) (found int, unsure bool) {
	for _, pattern := range b.patterns[text[0]] {
		switch {
		case strings.HasPrefix(text, pattern):
			return len(pattern), false
		case !whole && len(text) < len(pattern) && strings.HasPrefix(pattern, text):
			return 0, true
		}
	}
	return 0, false
}

// Writer hides the secrets in what is written through it, also one that comes in pieces.
func (b *Blinder) Writer(to io.Writer) *Writer { return &Writer{blinder: b, to: to} }

// Writer is flushed when nothing more comes. Many may write at the same time.
type Writer struct {
	blinder *Blinder
	to      io.Writer
	mutex   sync.Mutex
	kept    string
}

func (w *Writer) Write(text []byte) (int, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.blinder == nil {
		return w.to.Write(text)
	}
	var said string
	said, w.kept = w.blinder.hide(w.kept+string(text), false)
	return len(text), w.say(said)
}

// Flush writes what was kept.
func (w *Writer) Flush() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	said := w.blinder.Text(w.kept)
	w.kept = ""
	return w.say(said)
}

func (w *Writer) say(text string) error {
	if text == "" {
		return nil
	}
	_, err := io.WriteString(w.to, text)
	return err
}
