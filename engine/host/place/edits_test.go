package place

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEditsOfOneFolderByManyHostsLoseNothing(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made")
	counter := filepath.Join(folder, "counter")
	// The lock belongs to who opened the folder, so two of these are as two processes.
	hosts := []*folders{{paths: map[string]*counted{}}, {paths: map[string]*counted{}}}
	const times = 20
	var all sync.WaitGroup
	for _, host := range hosts {
		for range times {
			all.Go(func() {
				release, err := host.lock(folder)
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				text, _ := os.ReadFile(counter)
				count, _ := strconv.Atoi(string(text))
				if err := os.WriteFile(counter, []byte(strconv.Itoa(count+1)), 0o600); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	text, _ := os.ReadFile(counter)
	if string(text) != strconv.Itoa(times*len(hosts)) {
		t.Errorf("%s edits are kept", text)
	}
	left, _ := os.ReadDir(folder)
	if len(left) != 1 || len(hosts[0].paths) != 0 || len(hosts[1].paths) != 0 {
		t.Errorf("left behind: %v, %v", left, hosts)
	}
}

func TestAnEditThatAnotherProcessHoldsUpEndsWithItsReason(t *testing.T) {
	folder := t.TempDir()
	held, err := flock(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*editPause)
	defer cancel()
	began := time.Now()
	_, err = flock(ctx, folder)
	if err == nil || !strings.Contains(err.Error(), folder) || time.Since(began) > 10*time.Second {
		t.Fatalf("%v after %s", err, time.Since(began))
	}
	_ = held.Close()
	free, err := flock(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
}
