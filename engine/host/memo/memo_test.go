package memo

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAValueIsMadeOnceForManyWhoAskAtOnce(t *testing.T) {
	m, made := New[int](4), atomic.Int32{}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if value, err := m.Get("a", func() (int, error) { made.Add(1); return 7, nil }); value != 7 || err != nil {
				t.Errorf("%d, %v", value, err)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 {
		t.Errorf("it was made %d times", made.Load())
	}
}

func TestNoMoreThanTheLastUsedAreKept(t *testing.T) {
	m := New[int](3)
	made := map[string]int{}
	get := func(key string) {
		_, _ = m.Get(key, func() (int, error) { made[key]++; return 0, nil })
	}
	get("used")
	for at := range 100 {
		get(fmt.Sprint(at))
		get("used")
	}
	if m.Len() != 3 || made["used"] != 1 {
		t.Errorf("%d are kept, and the used one was made %d times", m.Len(), made["used"])
	}
}

func TestAFailureIsTriedAgain(t *testing.T) {
	m := New[int](3)
	_, err := m.Get("a", func() (int, error) { return 0, errors.New("not yet") })
	value, again := m.Get("a", func() (int, error) { return 1, nil })
	if err == nil || again != nil || value != 1 {
		t.Errorf("%v, then %d and %v", err, value, again)
	}
}
