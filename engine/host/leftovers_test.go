package main

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
)

// eventually asks again until it is so, or fails.
func eventually(t *testing.T, so func() error) {
	t.Helper()
	for late := time.Now().Add(10 * time.Second); ; {
		err := so()
		if err == nil {
			return
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

func TestARunLeavesNoGoroutineAndNoHandleBehind(t *testing.T) {
	w := newWorld(t, things(3))
	w.must("stack", "init", "dev", "--no-select")
	handles := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	w.must(up("dev")...)
	goroutines, open := runtime.NumGoroutine(), handles()
	const runs = 20
	for range runs {
		w.must(up("dev")...)
	}
	eventually(t, func() error {
		// Fewer than one for each run: connections come and go.
		if more, others := runtime.NumGoroutine()-goroutines, handles()-open; more >= runs/2 || others >= runs/2 {
			return fmt.Errorf("%d goroutines and %d handles more after %d runs", more, others, runs)
		}
		return nil
	})
}

// This tells how much memory a run leaves behind, for whoever decides when a process is replaced.
func BenchmarkMemoryThatARunKeeps(b *testing.B) {
	for _, count := range []int{3, 300} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			w := newWorld(b, things(count))
			w.must("stack", "init", "dev", "--no-select")
			w.must(up("dev")...)
			heap := func() float64 {
				runtime.GC()
				var stats runtime.MemStats
				runtime.ReadMemStats(&stats)
				return float64(stats.HeapAlloc + stats.StackInuse)
			}
			before := heap()
			for b.Loop() {
				w.must(up("dev")...)
			}
			b.ReportMetric((heap()-before)/float64(b.N), "B/run")
		})
	}
}
