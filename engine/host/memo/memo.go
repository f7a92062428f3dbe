// Package memo makes values once and keeps those that were used last.
package memo

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// Memo holds a bounded number of values.
type Memo[V any] struct {
	kept   *lru.Cache[string, V]
	making singleflight.Group
}

// New makes one that keeps at most so many values, of at least one.
func New[V any](most int) *Memo[V] {
	kept, err := lru.New[string, V](most)
	if err != nil {
		panic(err)
	}
	return &Memo[V]{kept: kept}
}

// Get gives the value of a key, made once also when many ask for it at the same time. Failures are not kept.
func (m *Memo[V]) Get(key string, create func() (V, error)) (V, error) {
	if found, is := m.kept.Get(key); is {
		return found, nil
	}
	made, err, _ := m.making.Do(key, func() (any, error) {
		// Another may have made it in between.
		if found, is := m.kept.Get(key); is {
			return found, nil
		}
		value, err := create()
		if err == nil {
			m.kept.Add(key, value)
		}
		return value, err
	})
	value, _ := made.(V)
	return value, err
}

// Put keeps a value that was made elsewhere.
func (m *Memo[V]) Put(key string, value V) { m.kept.Add(key, value) }

// Len is how many are kept.
func (m *Memo[V]) Len() int { return m.kept.Len() }
