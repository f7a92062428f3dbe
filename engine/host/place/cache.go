package place

import "sync"

// cache makes each value once, also when many ask for it at the same time. Failures are not kept.
type cache[K comparable, V any] struct {
	mutex   sync.Mutex
	entries map[K]*cached[V]
}

type cached[V any] struct {
	mutex sync.Mutex
	done  bool
	value V
}

func (c *cache[K, V]) get(key K, create func() (V, error)) (V, error) {
	c.mutex.Lock()
	if c.entries == nil {
		c.entries = map[K]*cached[V]{}
	}
	entry, known := c.entries[key]
	if !known {
		entry = &cached[V]{}
		c.entries[key] = entry
	}
	c.mutex.Unlock()
	entry.mutex.Lock()
	defer entry.mutex.Unlock()
	if entry.done {
		return entry.value, nil
	}
	value, err := create()
	if err == nil {
		entry.value, entry.done = value, true
	}
	return value, err
}
